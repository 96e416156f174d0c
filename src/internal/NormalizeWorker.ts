/**
 * A thread that normalises shards for a run: the program that it executes. It does what it would do in the thread of
 * the run, on the machine's own disk, one shard after the other.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import type { Service } from "../Provider.js"
import { Beginning, Outcome, Task } from "./NormalizeTask.js"
import * as PartWriter from "./PartWriter.js"
import { withoutSecret } from "./RowRedaction.js"
import type { FindPrices, PricesFound } from "./ShardMeter.js"

const { answered, decoding: { provider, secret }, prices } = Schema.decodeUnknownSync(Beginning)(workerData)

const decoders: Record<typeof provider, () => Promise<Service["decode"]>> = {
  anthropic: async () => (await import("../provider/AnthropicDecode.js")).decode,
  openai: async () => (await import("../provider/OpenAiDecode.js")).decode
}

// The row path cannot wait for a message: the thread stands still. There are few names, and each is asked for once.
const find: FindPrices = (name) => {
  Atomics.store(answered, 0, 0)
  prices.postMessage(name)
  Atomics.wait(answered, 0, 0)
  const answer: { readonly message: PricesFound } | undefined = receiveMessageOnPort(prices)
  return answer?.message ?? { _tag: "Unknown" }
}

const decodeTask = Schema.decodeUnknown(Task)
const encodeOutcome = Schema.encode(Outcome)

const work = Effect.fn(function*(message: unknown, decode: Service["decode"]) {
  const raw = yield* Effect.orDie(decodeTask(message))
  return yield* PartWriter.write(raw, { decode, find }, undefined)
})

const decode = withoutSecret(await decoders[provider](), secret)

parentPort?.on("message", (message) => {
  void Effect.runPromise(Effect.flatMap(Effect.exit(work(message, decode)), encodeOutcome)).then((outcome) =>
    parentPort?.postMessage(outcome)
  )
})
