/**
 * Directories whose names are durable: each is made so once by a process, and not for every file that comes into it.
 */
import * as NodePath from "node:path"
import type * as Disk from "./Disk.js"

/** What a process has made durable. Its methods throw what the disk throws. */
export class DurableDirectories {
  private readonly known = new Set<string>()

  constructor(private readonly disk: Disk.Service) {}

  /**
   * Makes a directory where there is none, with those between it and `top`, and their names durable. An earlier process may
   * have made it without coming to that; somebody may have taken it away since.
   */
  make(path: string, top: string): void {
    if (this.known.has(path) && this.disk.stat(path) !== undefined) return
    this.disk.makeDirectory(path)
    for (let below = path; below !== top;) {
      below = NodePath.dirname(below)
      this.disk.syncDirectory(below)
    }
    this.known.add(path)
  }
}
