/**
 * Syncs that go on beside the thread: files that a synchronous loop has finished are made durable while it goes on with
 * others.
 */
import * as Effect from "effect/Effect"
import type { DiskError } from "../RunError.js"
import * as Disk from "./Disk.js"

/** Each keeps a file open; more of them would only wait for each other. */
const most = 16

/** With no more than so many under way, there is room for those of a few shards. */
const few = most / 2

/** The syncs of one writer of files. */
export class PendingSyncs {
  private underWay = 0
  private failed: { readonly error: unknown } | undefined
  private onEnd: () => void = () => undefined

  /**
   * Makes a file durable, then closes it: beside the thread, where the disk can do that and not too many are under way. It
   * throws what the disk throws, or tells it to who waits.
   */
  add({ sync, syncBeside }: Disk.Handle, close: () => void): void {
    if (syncBeside === undefined || this.underWay === most) {
      sync()
      close()
      return
    }
    this.underWay++
    syncBeside((error) => {
      this.underWay--
      if (error !== null) this.failed ??= { error }
      close()
      this.onEnd()
    })
  }

  /** Waits until there is room for more, so that no sync holds the thread. */
  get room(): Effect.Effect<void> {
    return this.atMost(few)
  }

  /** Waits for all of them. */
  wait(path: string): Effect.Effect<void, DiskError> {
    return Effect.zipRight(
      this.atMost(0),
      Disk.attempt("make durable", path, () => {
        if (this.failed !== undefined) throw this.failed.error
      })
    )
  }

  /** Waits until so many are under way, or fewer. */
  private atMost(count: number): Effect.Effect<void> {
    return Effect.async((resume) => {
      this.onEnd = () => {
        if (this.underWay <= count) resume(Effect.void)
      }
      this.onEnd()
    })
  }
}
