/**
 * One writer per run directory, by a lock that a killed process frees: a socket that listens for as long as its process
 * lives. On Linux it has an abstract name, elsewhere one in the temporary folder; the name is the directory's device and
 * inode, so that two paths to one directory are one lock.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as NodeFs from "node:fs"
import * as NodeNet from "node:net"
import * as NodeOs from "node:os"
import { RunLocked } from "../RunError.js"
import type { Stat } from "./Disk.js"

/** Takes locks. */
export interface Service {
  /** Holds the lock of a directory until the scope closes. */
  readonly acquire: (directory: string, stat: Stat) => Effect.Effect<void, RunLocked, Scope.Scope>
}

const socketName = (stat: Stat): string => {
  const name = `llm-batch-${stat.device}-${stat.inode}`
  if (process.platform === "linux") return `\0${name}`
  return process.platform === "win32" ? `\\\\.\\pipe\\${name}` : `${NodeOs.tmpdir()}/${name}.sock`
}

/** Binding a local socket is synchronous, though its events are not. */
const listen = (name: string): NodeNet.Server | undefined => {
  const server = NodeNet.createServer((socket) => socket.destroy())
  server.on("error", () => undefined)
  server.listen(name)
  server.unref()
  return server.listening ? server : undefined
}

const isAlive = (name: string): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const socket = NodeNet.connect(name)
    socket.on("connect", () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.on("error", () => resume(Effect.succeed(false)))
    return Effect.sync(() => socket.destroy())
  })

const leavesFile = process.platform !== "linux" && process.platform !== "win32"

const take = (directory: string, stat: Stat) =>
  Effect.gen(function*() {
    const name = socketName(stat)
    const server = listen(name)
    if (server !== undefined) return server
    if (leavesFile && !(yield* isAlive(name))) {
      // Only a file that a killed process left: nobody answers on it.
      const retried = yield* Effect.sync(() => {
        NodeFs.rmSync(name, { force: true })
        return listen(name)
      })
      if (retried !== undefined) return retried
    }
    return yield* new RunLocked({ directory })
  })

/** The locks of run directories: the machine's own, unless others are provided. */
export class RunLock extends Context.Reference<RunLock>()("llm-batch/internal/RunLock", {
  defaultValue: (): Service => ({
    acquire: (directory, stat) =>
      Effect.asVoid(Effect.acquireRelease(take(directory, stat), (server) => Effect.sync(() => server.close())))
  })
}) {}
