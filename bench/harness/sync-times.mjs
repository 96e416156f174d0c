/**
 * Loaded before a measured program, by `node --import`: counts and times what it does to be durable, and leaves that at
 * the path that `LLM_BATCH_BENCH_SYNCS` names.
 *
 * The program's modules see what is patched here because `syncBuiltinESMExports` renews the bindings of those that import
 * Node's modules by name or as a namespace.
 */
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"

const { closeSync, fdatasync, fdatasyncSync, fsync, fsyncSync, openSync, writeFileSync, writeSync } = fs

const totals = {
  /** What is appended to the journal. */
  appends: 0,
  appendMillis: 0,
  /** Syncs of the journal. */
  journalSyncs: 0,
  journalSyncMillis: 0,
  /** Syncs of everything else: shards, results, directories. */
  otherSyncs: 0,
  otherSyncMillis: 0,
  /** Syncs beside the thread, and how long it had nothing else to do while there was one: at most that they cost. */
  syncsBeside: 0,
  idleBesideMillis: 0
}

let underWay = 0
let idleBefore = 0

/**
 * @param {number} fd
 * @param {(fd: number, done: (error: NodeJS.ErrnoException | null) => void) => void} operation
 * @param {(error: NodeJS.ErrnoException | null) => void} done
 */
const syncBeside = (fd, operation, done) => {
  totals.syncsBeside++
  if (underWay++ === 0) idleBefore = performance.eventLoopUtilization().idle
  operation(fd, (error) => {
    if (--underWay === 0) totals.idleBesideMillis += performance.eventLoopUtilization().idle - idleBefore
    done(error)
  })
}

/** @type {Set<number>} */
const journals = new Set()

/** @param {number} fd @param {() => void} operation */
const sync = (fd, operation) => {
  const began = performance.now()
  operation()
  const took = performance.now() - began
  if (journals.has(fd)) {
    totals.journalSyncs++
    totals.journalSyncMillis += took
  } else {
    totals.otherSyncs++
    totals.otherSyncMillis += took
  }
}

Object.assign(fs, {
  /** @type {typeof openSync} */
  openSync: (path, flags, mode) => {
    const fd = openSync(path, flags, mode)
    if (String(path).endsWith("/journal.jsonl")) journals.add(fd)
    return fd
  },
  /** @type {typeof closeSync} */
  closeSync: (fd) => {
    journals.delete(fd)
    closeSync(fd)
  },
  /** @param {number} fd @param {Uint8Array} bytes @param {number} offset @param {number} length */
  writeSync: (fd, bytes, offset, length) => {
    if (!journals.has(fd)) return writeSync(fd, bytes, offset, length)
    const began = performance.now()
    const written = writeSync(fd, bytes, offset, length)
    totals.appends++
    totals.appendMillis += performance.now() - began
    return written
  },
  /** @type {typeof fsyncSync} */
  fsyncSync: (fd) => sync(fd, () => fsyncSync(fd)),
  /** @type {typeof fdatasyncSync} */
  fdatasyncSync: (fd) => sync(fd, () => fdatasyncSync(fd)),
  /** @param {number} fd @param {(error: NodeJS.ErrnoException | null) => void} done */
  fsync: (fd, done) => syncBeside(fd, fsync, done),
  /** @param {number} fd @param {(error: NodeJS.ErrnoException | null) => void} done */
  fdatasync: (fd, done) => syncBeside(fd, fdatasync, done)
})
syncBuiltinESMExports()

process.on("exit", () => {
  const path = process.env.LLM_BATCH_BENCH_SYNCS
  if (path !== undefined) writeFileSync(path, JSON.stringify(totals))
})
