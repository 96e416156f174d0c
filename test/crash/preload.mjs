/**
 * Loaded before the command line, by `node --import`: kills the process at the Nth point at which that could matter.
 *
 * A point is an append to the journal, a sync, a rename, something that is removed or cut off, a piece of a request, a
 * request that was sent, the head of a response, the end of its body. `LLM_BATCH_CRASH` says where, as JSON:
 * `{"report": path, "at"?: N, "side"?: "before" | "after" | "within"}`.
 *
 * - `before` counts every point;
 * - `after` counts those of calls alone: there a server goes on by itself, while what comes after a change on the disk
 *   comes before the next point;
 * - `within` counts appends to the journal alone, and leaves the Nth of them half written.
 *
 * The report is `{"points": labels, "killed": label | null}`.
 *
 * There is no hook for this in the program. Its modules see what is patched here because `syncBuiltinESMExports` renews
 * the bindings of those that import Node's modules by name or as a namespace.
 */
import { EventEmitter } from "node:events"
import fs from "node:fs"
import http from "node:http"
import { syncBuiltinESMExports } from "node:module"

/** @type {{ readonly report: string, readonly at?: number, readonly side?: "before" | "after" | "within" }} */
const plan = JSON.parse(process.env.LLM_BATCH_CRASH ?? "{}")
const { existsSync, writeFileSync } = fs
const { fdatasyncSync, fsyncSync, ftruncateSync, openSync, renameSync, rmSync, writeSync } = fs

/** @type {Array<string>} */
const points = []

/** @param {string | null} killed */
const report = (killed) => writeFileSync(plan.report, JSON.stringify({ points, killed }))

/** The signal is delivered before the call returns. @param {string} label */
const kill = (label) => {
  report(label)
  process.kill(process.pid, "SIGKILL")
}

/**
 * Does something that is a point.
 *
 * @template A
 * @param {string} label
 * @param {() => A} operation
 * @param {boolean} [isCall]
 * @returns {A}
 */
const point = (label, operation, isCall = false) => {
  if (plan.side === "within" || (plan.side === "after" && !isCall)) return operation()
  const isHere = points.push(label) === plan.at
  if (isHere && plan.side === "before") kill(`before ${label}`)
  const result = operation()
  if (isHere) kill(`after ${label}`)
  return result
}

/** The paths of open files, each by its descriptor. @type {Map<number, string>} */
const paths = new Map()

/** The last two names of a path: they are the same in every run. @param {unknown} path */
const short = (path) => String(path).split("/").slice(-2).join("/")

/** @param {number} fd */
const pathOf = (fd) => short(paths.get(fd) ?? fd)

Object.assign(fs, {
  /** @type {typeof openSync} */
  openSync: (path, flags, mode) => {
    const fd = openSync(path, flags, mode)
    paths.set(fd, String(path))
    return fd
  },
  /** @param {number} fd @param {Uint8Array} bytes @param {number} offset @param {number} length */
  writeSync: (fd, bytes, offset, length) => {
    if (paths.get(fd)?.endsWith("/journal.jsonl") !== true) return writeSync(fd, bytes, offset, length)
    if (plan.side === "within" && points.push("append") === plan.at) {
      writeSync(fd, bytes, offset, Math.floor(length / 2))
      kill("within append")
    }
    return point("append", () => writeSync(fd, bytes, offset, length))
  },
  /** @type {typeof fsyncSync} */
  fsyncSync: (fd) => point(`sync ${pathOf(fd)}`, () => fsyncSync(fd)),
  /** @type {typeof fdatasyncSync} */
  fdatasyncSync: (fd) => point(`sync ${pathOf(fd)}`, () => fdatasyncSync(fd)),
  /** @type {typeof renameSync} */
  renameSync: (from, to) => point(`rename ${short(to)}`, () => renameSync(from, to)),
  /** @type {typeof rmSync} */
  rmSync: (path, options) =>
    existsSync(path) ? point(`remove ${short(path)}`, () => rmSync(path, options)) : rmSync(path, options),
  /** @type {typeof ftruncateSync} */
  ftruncateSync: (fd, length) => point(`truncate ${pathOf(fd)}`, () => ftruncateSync(fd, length))
})
syncBuiltinESMExports()

const { ClientRequest, IncomingMessage, OutgoingMessage } = http

/**
 * Does something that is a point of a call; ids are left out of the label.
 *
 * @template A
 * @param {string} what
 * @param {http.ClientRequest} request
 * @param {() => A} operation
 */
const callPoint = (what, { method, path }, operation) =>
  point(`${what} ${method} ${path.replaceAll(/\w*(?:batch|file)[_-]\w+/g, ":id")}`, operation, true)

/** Responses, and the requests that they answer. @type {WeakMap<http.IncomingMessage, http.ClientRequest>} */
const answered = new WeakMap()

Object.assign(ClientRequest.prototype, {
  /** @this {http.ClientRequest} @param {Parameters<http.OutgoingMessage["write"]>} args */
  write(...args) {
    return callPoint("send", this, () => OutgoingMessage.prototype.write.apply(this, args))
  },
  /** @this {http.ClientRequest} @param {Parameters<http.OutgoingMessage["end"]>} args */
  end(...args) {
    const end = () => OutgoingMessage.prototype.end.apply(this, args)
    // A request with a body is all sent by then.
    return this.headersSent ? end() : callPoint("send", this, end)
  },
  /** @this {http.ClientRequest} @param {string} event @param {ReadonlyArray<unknown>} args */
  emit(event, ...args) {
    const told = () => EventEmitter.prototype.emit.call(this, event, ...args)
    if (event === "finish") return callPoint("sent", this, told)
    if (event !== "response") return told()
    if (args[0] instanceof IncomingMessage) answered.set(args[0], this)
    return callPoint("answered", this, told)
  }
})

Object.assign(IncomingMessage.prototype, {
  /** @this {http.IncomingMessage} @param {string} event @param {ReadonlyArray<unknown>} args */
  emit(event, ...args) {
    const told = () => EventEmitter.prototype.emit.call(this, event, ...args)
    const request = answered.get(this)
    return event === "end" && request !== undefined ? callPoint("answered in full", request, told) : told()
  }
})

process.on("exit", () => report(null))
