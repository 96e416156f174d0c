/**
 * Loaded before the command line by `node --import`: kills the process at the Nth point at which a crash could matter.
 *
 * A point is a change on the disk (an append to the journal, a sync, a rename, a file or directory that comes, goes or
 * is cut), a request (begun, sent) or a response (its head, its end). `LLM_BATCH_CRASH` says where, as JSON:
 * `{"report": path, "at"?: N, "side"?: "before" | "after" | "within"}`. `within` counts appends to the journal alone,
 * and leaves the Nth of them half written. The report is `{"points": count, "killed": label | null}`.
 */
import fs from "node:fs"
import http from "node:http"
import { syncBuiltinESMExports } from "node:module"

/** @type {{ readonly report: string, readonly at?: number, readonly side?: "before" | "after" | "within" }} */
const plan = JSON.parse(process.env.LLM_BATCH_CRASH ?? "{}")
const { openSync, rmSync, writeFileSync, writeSync } = fs

/** @type {Array<string>} */
const points = []

/** @param {string | null} killed */
const report = (killed) => writeFileSync(plan.report, JSON.stringify({ points: points.length, killed, labels: points }))

/** @param {string} label */
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
 * @returns {A}
 */
const point = (label, operation) => {
  if (plan.side === "within") return operation()
  const isHere = points.push(label) === plan.at
  if (isHere && plan.side === "before") kill(`before ${label}`)
  const result = operation()
  if (isHere) kill(`after ${label}`)
  return result
}

/** The last parts of a path, which are the same in every run. @param {unknown} path */
const short = (path) => String(path).split("/").slice(-2).join("/")

/** What is written to, by file descriptor. @type {Map<number, string>} */
const open = new Map()

fs.openSync = (path, flags, mode) => {
  const changes = typeof flags === "string" && flags !== "r" && !String(path).startsWith("/dev/")
  const fd = changes ? point(`open ${short(path)}`, () => openSync(path, flags, mode)) : openSync(path, flags, mode)
  open.set(fd, String(path))
  return fd
}

/**
 * @param {number} fd
 * @param {Uint8Array} bytes
 * @param {number} offset
 * @param {number} length
 */
const write = (fd, bytes, offset, length) => {
  if (open.get(fd)?.endsWith("/journal.jsonl") !== true) return writeSync(fd, bytes, offset, length)
  if (plan.side === "within" && points.push("append") === plan.at) {
    writeSync(fd, bytes, offset, Math.floor(length / 2))
    kill("within append")
  }
  return point("append", () => writeSync(fd, bytes, offset, length))
}
Object.assign(fs, { writeSync: write })

/** @param {number} fd */
const openPath = (fd) => short(open.get(fd) ?? fd)

for (const name of /** @type {const} */ (["fsyncSync", "fdatasyncSync"])) {
  const sync = fs[name]
  fs[name] = (fd) => point(`sync ${openPath(fd)}`, () => sync(fd))
}

const { ftruncateSync, mkdirSync, renameSync } = fs
fs.ftruncateSync = (fd, length) => point(`truncate ${openPath(fd)}`, () => ftruncateSync(fd, length))
fs.renameSync = (from, to) => point(`rename ${short(to)}`, () => renameSync(from, to))
fs.rmSync = (path, options) =>
  fs.existsSync(path) ? point(`remove ${short(path)}`, () => rmSync(path, options)) : rmSync(path, options)
Object.assign(fs, {
  /** @type {typeof mkdirSync} */
  mkdirSync: (/** @type {fs.PathLike} */ path, /** @type {fs.MakeDirectoryOptions} */ options) =>
    fs.existsSync(path) ? undefined : point(`make ${short(path)}`, () => mkdirSync(path, options))
})
syncBuiltinESMExports()

const { ClientRequest, IncomingMessage } = http
const { emit, end, write: writeBody } = ClientRequest.prototype
const emitOfMessage = IncomingMessage.prototype.emit

/** @param {http.ClientRequest} request */
const name = (request) => `${request.method} ${request.path.replaceAll(/(batch|file)[\w-]*_?\w{8,}/g, ":id")}`

Object.assign(ClientRequest.prototype, {
  /** @this {http.ClientRequest} @param {Parameters<typeof writeBody>} args */
  write(...args) {
    return point(`write ${name(this)}`, () => writeBody.apply(this, args))
  },
  /** @this {http.ClientRequest} @param {Parameters<typeof end>} args */
  end(...args) {
    return point(`end ${name(this)}`, () => end.apply(this, args))
  },
  /** @this {http.ClientRequest} @param {string} event @param {Array<unknown>} args */
  emit(event, ...args) {
    if (event === "finish") return point(`sent ${name(this)}`, () => emit.call(this, event, ...args))
    if (event === "response") return point(`response ${name(this)}`, () => emit.call(this, event, ...args))
    return emit.call(this, event, ...args)
  }
})
Object.assign(IncomingMessage.prototype, {
  /** @this {http.IncomingMessage} @param {string} event @param {Array<unknown>} args */
  emit(event, ...args) {
    const last = () => emitOfMessage.call(this, event, ...args)
    return event === "end" && this.statusCode !== null ? point("body ended", last) : last()
  }
})

process.on("exit", () => report(null))
