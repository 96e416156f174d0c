import { Schema } from "effect"
import { batch } from "llm-batch/PlainPromise"

const verdicts = await batch({
  model: "gpt-5-mini",
  system: "Is this message spam?",
  prompts: ["WINNER!! Call 0900 now", "See you at six?"],
  schema: Schema.Struct({ label: Schema.Literal("spam", "ham") }),
  mode: "sync"
})
for (const verdict of verdicts) console.log(verdict.ok ? verdict.answer.label : verdict.error.message)
