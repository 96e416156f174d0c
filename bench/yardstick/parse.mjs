/**
 * `node parse.mjs FILE...`: reads JSON Lines and parses each, and nothing else. What every yardstick that parses is held
 * against.
 */
import { forEachLine } from "./blocks.mjs"

let members = 0
for (const path of process.argv.slice(2)) {
  forEachLine(path, (bytes, start, end) => {
    members += Object.keys(JSON.parse(bytes.toString("utf8", start, end))).length
  })
}
console.log(members)
