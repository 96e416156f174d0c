import * as Stream from "effect/Stream"

/** Bytes cut into blocks at the given offsets; some blocks may be empty. */
export const cutAt = (bytes: Uint8Array, offsets: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const edges = [0, ...offsets.filter((offset) => offset < bytes.length).toSorted((a, b) => a - b), bytes.length]
  return edges.slice(1).map((end, index) => Uint8Array.from(bytes.subarray(edges[index], end)))
}

/** Blocks that are only lent: each stands in the memory of the one before. */
export const lent = (blocks: ReadonlyArray<Uint8Array>): Stream.Stream<Uint8Array> =>
  Stream.suspend(() => {
    const room = Buffer.alloc(Math.max(0, ...blocks.map((block) => block.length)))
    return Stream.map(Stream.fromIterable(blocks).pipe(Stream.rechunk(1)), (block) => {
      room.fill(0).set(block)
      return room.subarray(0, block.length)
    })
  })
