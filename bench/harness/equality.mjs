/**
 * Whether two programs wrote the same bytes.
 */
import { closeSync, openSync, readSync } from "node:fs"
import { join } from "node:path"

const blockSize = 1 << 20

/** @param {number} fd @param {Buffer} block */
const fill = (fd, block) => {
  let length = 0
  for (;;) {
    const read = readSync(fd, block, length, block.length - length, null)
    length += read
    if (read === 0 || length === block.length) return block.subarray(0, length)
  }
}

/**
 * Fails when two files are not the same, byte for byte.
 *
 * @param {string} one
 * @param {string} other
 */
export const assertEqualFiles = (one, other) => {
  const files = [one, other].map((path) => ({ fd: openSync(path, "r"), block: Buffer.allocUnsafe(blockSize) }))
  try {
    for (let position = 0;; position += blockSize) {
      const [first, second] = files.map(({ block, fd }) => fill(fd, block))
      if (first === undefined || second === undefined || !first.equals(second)) {
        throw new Error(`${one} and ${other} differ, in the block at byte ${position}`)
      }
      if (first.length === 0) return
    }
  } finally {
    for (const { fd } of files) closeSync(fd)
  }
}

/**
 * Fails when files of the same names in two folders are not the same.
 *
 * @param {string} one
 * @param {string} other
 * @param {ReadonlyArray<string>} names
 */
export const assertEqualFolders = (one, other, names) => {
  if (names.length === 0) throw new Error(`${one}: there is nothing to compare with ${other}`)
  for (const name of names) assertEqualFiles(join(one, name), join(other, name))
}
