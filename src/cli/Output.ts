/**
 * Where the command line writes: data to standard output, everything else to standard error.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

/** Writes what the command line has to say. */
export interface Service {
  /** Prints data, as text that ends in a newline. */
  readonly data: (text: string) => Effect.Effect<void>
  /** Prints one JSON value. */
  readonly json: (value: unknown) => Effect.Effect<void>
  /** Tells the user something. */
  readonly say: (text: string) => Effect.Effect<void>
  /** Whether somebody can be asked: standard input and standard error are both a terminal. */
  readonly interactive: boolean
  /** Whether standard error is a terminal that can be drawn on. */
  readonly live: boolean
  /** Whether standard error takes colours. */
  readonly color: boolean
  /** Whether standard output takes colours. */
  readonly dataColor: boolean
}

/** Writes what the command line has to say. */
export class Output extends Context.Tag("llm-batch/cli/Output")<Output, Service>() {}

const write = (stream: NodeJS.WriteStream, text: string) =>
  Effect.sync(() => {
    stream.write(text.endsWith("\n") ? text : `${text}\n`)
  })

/** Colours follow NO_COLOR and the terminal. */
export const layer: Layer.Layer<Output> = Layer.effect(
  Output,
  Effect.gen(function*() {
    const setting = (name: string) =>
      Effect.orElseSucceed(Config.option(Config.string(name)), () => Option.none<string>())
    const noColor = Option.exists(yield* setting("NO_COLOR"), (value) => value !== "")
    const dumb = Option.contains(yield* setting("TERM"), "dumb")
    const live = process.stderr.isTTY && !dumb
    return Output.of({
      data: (text) => write(process.stdout, text),
      json: (value) => write(process.stdout, JSON.stringify(value, null, 2)),
      say: (text) => write(process.stderr, text),
      interactive: process.stdin.isTTY && process.stderr.isTTY,
      live,
      color: live && !noColor,
      dataColor: process.stdout.isTTY && !dumb && !noColor
    })
  })
)
