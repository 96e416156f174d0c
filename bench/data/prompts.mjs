/**
 * Inputs: small rows, each a function of its number.
 */
import { closeSync, openSync, writeSync } from "node:fs"

const texts = [
  "Is this review positive or negative? The kettle boils fast, but the lid came off after a week.",
  "Translate to French: the train to the coast leaves at nine, from the other platform.",
  "Which of these is a fruit: a carrot, a pear, a stone? Answer with one word.",
  "Summarise in one sentence: \"We met at noon, agreed on the price, and signed before it rained.\""
].map((text) => JSON.stringify(text).slice(1, -1))

const blockSize = 1 << 20

/** The id of a row, from 1. @param {number} row */
const idOf = (row) => `item-${String(row).padStart(8, "0")}`

/**
 * Writes an input of so many rows, in blocks.
 *
 * @param {string} path
 * @param {number} rows
 */
export const writePrompts = (path, rows) => {
  const fd = openSync(path, "w")
  try {
    let block = ""
    for (let row = 1; row <= rows; row++) {
      block += `{"id":"${idOf(row)}","prompt":"${row}: ${texts[row % texts.length]}"}\n`
      if (block.length >= blockSize || row === rows) {
        const bytes = Buffer.from(block)
        for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written)
        block = ""
      }
    }
  } finally {
    closeSync(fd)
  }
}
