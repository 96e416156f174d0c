/**
 * What must hold, read from the disk and from the provider's books alone: nothing here asks the library.
 */
import type { Computer } from "./Computer.js"
import type { InputRow } from "./Plan.js"
import type { Booked, SimulatedProvider } from "./SimulatedProvider.js"

/** Something that must hold does not. */
export class Violation extends Error {
  override readonly name = "Violation"
}

const fail = (problem: string): never => {
  throw new Violation(problem)
}

type Json = { readonly [key: string]: unknown }

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const parse = (text: string, where: string): Json => {
  const value: unknown = (() => {
    try {
      return JSON.parse(text)
    } catch {
      return undefined
    }
  })()
  return isObject(value) ? value : fail(`${where} is no object: ${text}`)
}

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, key) => {
    if (Array.isArray(inner)) return inner[Number(key)]
    return isObject(inner) ? inner[key] : undefined
  }, value)

/** The whole lines of a file. */
const linesOf = (text: string): ReadonlyArray<string> => text.split("\n").slice(0, -1)

/** The entries of the journal; what a crash left torn at its end is none. */
const journal = (computer: Computer): ReadonlyArray<Json> =>
  linesOf(computer.read("journal.jsonl") ?? "").map((line, index) => parse(line, `line ${index + 1} of the journal`))

/** Whether every shard of the input is built, so that the run can be resumed. */
export const isBuilt = (computer: Computer): boolean =>
  journal(computer).some((entry) => entry["_tag"] === "BuildFinished")

/** How often the rows of the run have been asked, or are to be. */
export const attempts = (computer: Computer): number =>
  journal(computer).reduce((most, entry) => entry["_tag"] === "RetryBuilt" ? Number(entry["attempt"]) : most, 1)

/** What a process that ended well has told is not lost with the power; only what was merely observed may be. */
export const nothingForgotten = (before: string, after: string): void => {
  if (!before.startsWith(after)) fail("the journal is another one after the power was cut")
  for (const line of linesOf(before.slice(after.length))) {
    const { _tag } = parse(line, "an entry of the journal")
    if (_tag !== "BatchObserved") fail(`${String(_tag)} was told, and the power took it`)
  }
}

/** The batches of the run, leaving out those that others made. */
const ownBooks = (provider: SimulatedProvider): ReadonlyArray<Booked> =>
  provider.books.filter(({ runTag }) => runTag !== "neighbour1")

/** Those of them that found room in the queue: others cost nothing, and their shards are sent again. */
const takenBooks = (provider: SimulatedProvider): ReadonlyArray<Booked> =>
  ownBooks(provider).filter(({ isDeclined }) => !isDeclined)

/** No shard has two batches, and no row is in two of one attempt. */
export const paidOnce = (provider: SimulatedProvider): void => {
  const made = takenBooks(provider)
  const shards = new Set<string>()
  const rows = new Set<string>()
  for (const { attempt, id, rows: own, runTag, shard } of made) {
    if (runTag !== made[0]?.runTag) fail(`batch ${id} is of another run than the first`)
    if (shards.has(shard)) fail(`shard ${shard} was paid twice: ${id}`)
    shards.add(shard)
    for (const row of own) {
      const name = `${row}.${attempt}`
      if (rows.has(name)) fail(`row ${row} was sent twice in attempt ${attempt}, the second time in ${id}`)
      rows.add(name)
    }
  }
}

/**
 * Every batch is on disk: by its id, or, while nobody has asked anything of it, by the intent to make it. The intent is
 * enough where the disk would not take the id.
 */
export const batchesOnDisk = (computer: Computer, provider: SimulatedProvider, isDiskWell: boolean): void => {
  const known = new Set<unknown>()
  const intended = new Set<unknown>()
  for (const entry of journal(computer)) {
    if (entry["_tag"] === "BatchCreated") known.add(at(entry, "snapshot", "id"))
    if (entry["_tag"] === "InputUploaded") intended.add(entry["shard"])
    if (entry["_tag"] === "CreateFailed") intended.delete(entry["shard"])
  }
  for (const { id, isReliedOn, shard } of ownBooks(provider)) {
    if (known.has(id)) continue
    if (isReliedOn && isDiskWell) fail(`batch ${id} was waited for, and its id is not on disk`)
    if (!intended.has(shard)) fail(`nothing on disk tells of batch ${id}`)
  }
}

const names: Record<string, string> = {
  refused: "succeeded",
  truncated: "succeeded",
  duplicate: "succeeded",
  conflicting: "succeeded",
  malformed: "missing"
}

/** How a row ended in one batch, by the books. */
const outcomeIn = ({ batch, fate }: Booked, row: number): string => {
  if (fate.lost) return batch.ending === "failed" ? "errored" : "missing"
  const planned = batch.rows.find((one) => one.row.row === row)
  if (planned === undefined) return "missing"
  if (batch.ending === "failed") return "errored"
  if (planned.answeredAt > batch.endsAt && batch.ending !== "completed") return batch.ending
  return names[planned.outcome] ?? planned.outcome
}

interface Expected {
  readonly outcome: string
  /** The text of the answer; `undefined` where there is none to compare. */
  readonly text: string | undefined
}

/** How a row ends by the books: the last answer that can be used, or else the last thing that became of it. */
const expectedOf = (books: ReadonlyArray<Booked>, row: number): Expected => {
  const asked = books.filter(({ rows }) => rows.includes(row)).toSorted((one, other) => other.attempt - one.attempt)
  const answered = asked.find((booked) => outcomeIn(booked, row) === "succeeded")
  const decisive = answered ?? asked[0]
  if (decisive === undefined) return { outcome: "cancelled", text: undefined }
  const refused = decisive.fate.outcome(row) === "refused"
  return {
    outcome: outcomeIn(decisive, row),
    text: answered === undefined || refused ? undefined : answered.fate.answer(row)
  }
}

/** What is only derived or kept for people is whole, or not there. */
export const wholeFiles = (computer: Computer): void => {
  const manifest = computer.read("manifest.json")
  if (manifest !== undefined) parse(manifest, "the manifest")
  if (computer.read("config.yaml") === "") fail("config.yaml is empty")
}

/** The files of a finished run, and what the last process said of it, where it can still be asked. */
export const finished = (
  computer: Computer,
  provider: SimulatedProvider,
  rows: ReadonlyArray<InputRow>,
  tally: Json | null,
  isExact: boolean
): void => {
  const results = linesOf(computer.read("results.jsonl") ?? fail("there is no results.jsonl"))
  const failures = linesOf(computer.read("failures.jsonl") ?? fail("there is no failures.jsonl"))
  if (results.length !== rows.length) fail(`${results.length} results of ${rows.length} rows`)
  const books = takenBooks(provider)
  const counts = new Map<string, number>()
  const failed: Array<string> = []
  let retryable = 0
  for (const [index, row] of rows.entries()) {
    const line = parse(results[index] ?? "", `result ${index + 1}`)
    const id = JSON.stringify(row.id ?? `row-${index + 1}`)
    if (row.id !== undefined && JSON.stringify(line["custom_id"]) !== id) {
      fail(`result ${index + 1} is that of ${JSON.stringify(line["custom_id"])} instead of ${id}`)
    }
    const error = line["error"]
    const outcome = error === null ? "succeeded" : String(at(error, "outcome"))
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
    if (error !== null) failed.push(JSON.stringify([line["custom_id"], index + 1, outcome, at(error, "retryable")]))
    if (at(error, "retryable") === true) retryable++
    const expected = expectedOf(books, index + 1)
    if (isExact && outcome !== expected.outcome) fail(`row ${index + 1} is ${outcome} instead of ${expected.outcome}`)
    const text = at(line, "response", "body", "choices", "0", "message", "content")
    if (outcome === "succeeded" && expected.text !== undefined && text !== expected.text) {
      fail(`the answer to row ${index + 1} is ${JSON.stringify(text)} instead of ${JSON.stringify(expected.text)}`)
    }
  }
  const listed = failures.map((text) => {
    const { custom_id, outcome, retryable, row } = parse(text, "a failure")
    return JSON.stringify([custom_id, row, outcome, retryable])
  })
  if (listed.join("\n") !== failed.join("\n")) fail(`failures.jsonl lists ${listed.join()} instead of ${failed.join()}`)
  const last = journal(computer).findLast((entry) => entry["_tag"] === "RunFinished") ?? fail("the run did not finish")
  for (const told of [at(last, "tally"), tally]) {
    if (told === null) continue
    for (const outcome of ["succeeded", "errored", "expired", "cancelled", "invalid", "missing"]) {
      if (at(told, outcome) !== (counts.get(outcome) ?? 0)) {
        fail(`${String(at(told, outcome))} rows are said to be ${outcome}, and ${counts.get(outcome) ?? 0} are`)
      }
    }
    if (at(told, "rows") !== rows.length) fail("the tally is of another number of rows")
    if (at(told, "retryable") !== retryable) fail("the tally counts other rows that a retry can help")
  }
}

/** No file under a temporary name is left. A power cut may bring back what was removed, and a bad disk may keep it. */
export const nothingTemporary = (computer: Computer): void => {
  for (const path of computer.memory.files().keys()) {
    if (/\.(?:tmp|scratch)$/u.test(path)) fail(`${path} is left`)
  }
}
