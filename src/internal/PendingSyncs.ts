/**
 * Syncs that go on beside the thread: files that a synchronous loop has finished are made durable while it goes on with
 * others.
 */
import * as Effect from "effect/Effect"
import type { DiskError } from "../RunError.js"
import * as Disk from "./Disk.js"

/** Each keeps a file open; more of them would only wait for each other. */
const most = 16

/** The syncs of one writer of files. */
export class PendingSyncs {
  private underWay = 0
  private failed: { readonly error: unknown } | undefined
  private onIdle: () => void = () => undefined

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
      if (this.underWay === 0) this.onIdle()
    })
  }

  /** Waits for all of them. */
  wait(path: string): Effect.Effect<void, DiskError> {
    const idle = Effect.async<void>((resume) => {
      if (this.underWay === 0) resume(Effect.void)
      else this.onIdle = () => resume(Effect.void)
    })
    return Effect.zipRight(
      idle,
      Disk.attempt("make durable", path, () => {
        if (this.failed !== undefined) throw this.failed.error
      })
    )
  }
}
