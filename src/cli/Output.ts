/**
 * Where the command line writes: data to standard output, everything else to standard error.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as NodeReadline from "node:readline"

/** Writes what the command line has to say. */
export interface Service {
  /** Prints data, as text that ends in a newline. */
  readonly data: (text: string) => Effect.Effect<void>
  /** Prints one JSON value. */
  readonly json: (value: unknown) => Effect.Effect<void>
  /** Tells the user something. */
  readonly say: (text: string) => Effect.Effect<void>
  /** Asks a question that is answered by y or n. No answer is no. */
  readonly confirm: (question: string) => Effect.Effect<boolean>
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

const confirm = (question: string): Effect.Effect<boolean> =>
  Effect.async<boolean>((resume) => {
    const lines = NodeReadline.createInterface({ input: process.stdin, output: process.stderr, terminal: false })
    let answered = false
    const answer = (yes: boolean) => {
      if (answered) return
      answered = true
      lines.close()
      resume(Effect.succeed(yes))
    }
    lines.on("line", (line) => answer(/^\s*y(?:es)?\s*$/i.test(line)))
    lines.on("close", () => answer(false))
    process.stderr.write(`${question} [y/N] `)
    return Effect.sync(() => lines.close())
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
      confirm,
      interactive: process.stdin.isTTY && process.stderr.isTTY,
      live,
      color: live && !noColor,
      dataColor: process.stdout.isTTY && !dumb && !noColor
    })
  })
)
