/** Bytes cut into blocks at the given offsets; some blocks may be empty. */
export const cutAt = (bytes: Uint8Array, offsets: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const edges = [0, ...offsets.filter((offset) => offset < bytes.length).toSorted((a, b) => a - b), bytes.length]
  return edges.slice(1).map((end, index) => Uint8Array.from(bytes.subarray(edges[index], end)))
}
