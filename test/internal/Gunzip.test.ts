import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as NodeZlib from "node:zlib"
import * as Gunzip from "../../src/internal/Gunzip.js"
import { cutAt } from "../Blocks.js"

const unpack = (bytes: Uint8Array, cuts: ReadonlyArray<number>) =>
  Stream.fromIterable(cutAt(bytes, cuts)).pipe(
    Stream.rechunk(1),
    (blocks) => Gunzip.whereGzip(blocks, (problem) => problem),
    Stream.runCollect,
    Effect.match({
      onFailure: () => "cannot be decompressed",
      onSuccess: (blocks) => `content: ${Buffer.concat(Chunk.toReadonlyArray(blocks)).toString("latin1")}`
    })
  )

describe("Gunzip", () => {
  it.effect.prop(
    "gives the content of one or several members, or plain bytes, wherever the blocks are cut",
    [FastCheck.array(FastCheck.string(), { minLength: 1, maxLength: 3 }), FastCheck.array(FastCheck.nat(60))],
    ([texts, cuts]) =>
      Effect.gen(function*() {
        const whole = Buffer.from(texts.join(""))
        const packed = Buffer.concat(texts.map((text) => NodeZlib.gzipSync(text)))
        const expected = `content: ${whole.toString("latin1")}`
        assert.strictEqual(yield* unpack(packed, cuts), expected)
        assert.strictEqual(yield* unpack(whole, cuts), expected)
      })
  )

  it.effect.prop(
    "fails for content that is cut short, wherever it is",
    [FastCheck.string(), FastCheck.nat(), FastCheck.array(FastCheck.nat(60))],
    ([text, at, cuts]) =>
      Effect.gen(function*() {
        const packed = NodeZlib.gzipSync(text)
        const cut = packed.subarray(0, 2 + at % (packed.length - 2))
        assert.strictEqual(yield* unpack(cut, cuts), "cannot be decompressed")
      })
  )
})
