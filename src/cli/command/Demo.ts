/**
 * `llm-batch demo`, which `npm run demo` runs in a checkout: the questions of GSM8K as batches to both providers, which
 * an emulator in this process plays. It is no part of the help: the questions are in the checkout only.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Disk from "../../internal/Disk.js"
import * as Pipeline from "../../Pipeline.js"
import type { Provider } from "../../Provider.js"
import { RequestDefaults } from "../../Request.js"
import * as Source from "../../Source.js"
import * as Poll from "../../stage/Poll.js"
import { displayed } from "../Advance.js"
import { Output } from "../Output.js"
import * as Report from "../Report.js"
import * as Summary from "../Summary.js"
import { UsageError } from "../UsageError.js"

const questions = "examples/gsm8k/test.jsonl"

const prompt = "{{question}}"

/** Small enough that a run is several batches. */
const shardRows = 400

/** Batches that take about four seconds: long enough to be seen. */
const timeScale = 30

const pause = "250 millis"

/** A run that the demo shows. */
interface Showing {
  readonly provider: string
  readonly name: string
  readonly model: string
  readonly layer: Layer.Layer<Provider>
}

/** Starts the emulator, with the providers as its clients. */
const emulated = Effect.gen(function*() {
  const [Emulator, OpenAi, Anthropic] = yield* Effect.promise(() =>
    Promise.all([
      import("../../emulator/Emulator.js"),
      import("../../provider/OpenAi.js"),
      import("../../provider/Anthropic.js")
    ])
  )
  const { anthropicBaseUrl, openAiBaseUrl, url } = yield* Emulator.make({ timeScale })
  const apiKey = Redacted.make("emulator")
  const showings: ReadonlyArray<Showing> = [
    {
      provider: "openai",
      name: "OpenAI",
      model: "gpt-5-mini",
      layer: OpenAi.layer({ apiKey, baseUrl: openAiBaseUrl })
    },
    {
      provider: "anthropic",
      name: "Anthropic",
      model: "claude-haiku-4-5",
      layer: Anthropic.layer({ apiKey, baseUrl: anthropicBaseUrl })
    }
  ]
  return { url, showings }
})

const pipeline = (provider: Layer.Layer<Provider>) =>
  Pipeline.layerComposed.pipe(
    Layer.provide(Poll.layerWith({ schedule: Poll.every(pause) })),
    Layer.provide(Pipeline.layerStages),
    Layer.provide(provider)
  )

const show = Effect.fn(function*({ layer, model, name }: Showing) {
  const { say } = yield* Output
  yield* say(`\n${name}, ${model}:`)
  const run = Effect.flatMap(
    Pipeline.Pipeline,
    ({ run }) => run(Source.file(questions), { defaults: new RequestDefaults({ model }), prompt, shardRows })
  )
  return yield* displayed(Effect.provide(run, pipeline(layer)), false)
})

const realCommand = ({ model, provider }: Showing): string =>
  `  npx llm-batch run ${questions} --provider ${provider} --model ${model} --prompt ${Report.quoted(prompt)}`

/** `llm-batch demo` */
export const demo = Command.make("demo", {}, () =>
  Effect.gen(function*() {
    const { data, say } = yield* Output
    const disk = yield* Disk.Disk
    const found = yield* Disk.attempt("look for", questions, () => disk.stat(questions))
    if (found === undefined) {
      return yield* new UsageError({
        message: `There is no ${questions} here. The demo runs in a checkout of llm-batch: npm run demo`
      })
    }
    const { showings, url } = yield* emulated
    yield* say(
      `The questions of GSM8K go as batches to an emulator of OpenAI and Anthropic, at ${url}.\n`
        + "No key is needed and nothing is charged; its answers are made up."
    )
    const reports = yield* Effect.forEach(showings, show)
    for (const report of reports) yield* data(`\n${Summary.summary(report)}`)
    yield* say(
      `\nThe same with a real key, in OPENAI_API_KEY or ANTHROPIC_API_KEY:\n${showings.map(realCommand).join("\n")}`
    )
  }).pipe(Effect.scoped))
