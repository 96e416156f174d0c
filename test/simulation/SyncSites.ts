/**
 * Which sync of the code a sync of a run is, told by what was done before it: `sync journal.jsonl (RunFinished)`,
 * `sync parts/N.jsonl.tmp`, `syncDirectory . after rename manifest.json`.
 */
import * as NodePath from "node:path"
import { directory } from "./Computer.js"
import type { Operation } from "./ProcessDisk.js"

const nameOf = ({ name, path }: Operation): string =>
  `${name} ${(NodePath.posix.relative(directory, path) || ".").replace(/\d+/gu, "N")}`

/** Sees every operation of a run, in order. */
export class SyncSites {
  private before = ""
  private entry = ""

  /** The site of a sync; an empty string for any other operation. */
  of(operation: Operation): string {
    const name = nameOf(operation)
    if (operation.name === "sync") {
      return name === "sync journal.jsonl" ? `${name} (${this.entry})` : name
    }
    // Which file of several was the last to be renamed makes no other site.
    const before = this.before.replace(/(?<=^rename raw\/\w+)\/.*/u, "")
    if (operation.name === "syncDirectory") return `${name} after ${before}`
    this.before = name
    if (name === "write journal.jsonl" && operation.bytes !== undefined) {
      const text = Buffer.from(operation.bytes).toString()
      this.entry = /"_tag":"(\w+)"/u.exec(text)?.[1] ?? this.entry
    }
    return ""
  }
}
