/**
 * What goes wrong in this field, and the test that shows what then happens. A test that is renamed or taken away is
 * missed here.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"

/** For each fault, the file and the title of a test, as they stand in the source. */
const catalogue: Record<string, Record<string, readonly [file: string, ...titles: ReadonlyArray<string>]>> = {
  "what others get wrong": {
    "partial results of expired or cancelled batches are thrown away": [
      "Pipeline",
      "an ended batch",
      "that is ${ending} does not end the run, and keeps what was answered"
    ],
    "two batches for one shard after a timeout or reset inside create": [
      "faults/Create",
      "a create at ${name}",
      "whose answer ${what} is paid once"
    ],
    "a second batch after an error during the wait": [
      "faults/Poll",
      "a poll at ${name}",
      "is not ended by ${transient.map(([what]) => what).join(\", \")}, nor is a second batch made"
    ],
    "one 503 on create makes two POSTs": [
      "faults/Create",
      "a create at ${name}",
      "that a 503 refuses is one POST, and made again only when there certainly is no batch"
    ],
    "a row absent from the results passes silently": [
      "faults/Fetch",
      "a download from ${name}",
      "with one row in a hundred absent says which"
    ],
    "completed with output_file_id null or empty": [
      "faults/Poll",
      "a batch that is completed",
      "with an output_file_id of ${none}, as every row failed, has the errors"
    ],
    "completed with error_file_id null or empty": [
      "faults/Poll",
      "a batch that is completed",
      "with an error_file_id of ${none} has the answers"
    ],
    "expired rows that are not counted as failed": [
      "faults/Poll",
      "a batch that is expired",
      "has its partial results at ${name}, also where the expired rows are not counted as failed"
    ],
    "in-flight batch ids are lost with the process": [
      "stage/Submit",
      "a submit",
      "has each intent on disk before it is tried, and the id before anything else"
    ],
    "resume overwrites the record": ["Ledger", "is taken up again where it was left"],
    "an enqueued-token limit is a failure rather than a wait": [
      "pipeline/Admission",
      "the tokens that may be enqueued",
      "are learned when a batch is declined, and filled then"
    ],
    "oversize input is not split, or by count only": [
      "stage/Build",
      "splitting",
      "fills a shard to the byte, with ${off} of room"
    ],
    "results are joined by position": [
      "stage/Normalize",
      "the order in which lines come",
      "and the blocks in which they are read do not matter"
    ],
    "the whole result file in memory": [
      "stage/Normalize",
      "lines",
      "of 300 MB cost one row, and no more memory than the longest line that is read"
    ],
    "one expired row breaks the parsing of all others": [
      "provider/OpenAiDecode",
      "a row without a response",
      "may say so where the status should stand"
    ],
    "cost counted once per poll": [
      "faults/Poll",
      "a poll at ${name}",
      "counts what was used once, however often it looks and the run is taken up"
    ],
    "cost 0 when the model is unknown": ["Cost", "counts answers of unknown price, and never takes them for free"],
    "Ctrl-C leaves a paid batch running without saying so": [
      "cli/Resume",
      "a run that is left",
      "says what still runs when it is interrupted, with exit code 130"
    ]
  },
  "kills": {
    "SIGKILL at every boundary": [
      "crash/Crash",
      "a process that is killed",
      "is resumed to the same bytes, and nothing is paid twice: ${provider}"
    ],
    "a kill between the response and the journal write": [
      "stage/Submit",
      "after a crash",
      "in the create call, its batch is looked for first"
    ],
    "a power cut at every operation of the disk": [
      "simulation/Points",
      "is finished with the same bytes, and paid once, whatever the point: ${kind}"
    ]
  },
  "create": {
    "response lost after success": ["faults/Create", "is lost in a reset after success"],
    "500 after success": ["faults/Create", "is 500 after success"],
    "409 after success": ["faults/Create", "is 409 after success"],
    "429 after success": ["faults/Create", "is 429 after success"],
    "408 after success": ["faults/Create", "is 408 after success"],
    "reset mid-upload": ["faults/Create", "a create at ${name}", "whose upload is reset in its middle is paid once"],
    "file uploaded but no batch made": [
      "faults/Create",
      "a file that is uploaded",
      "but no batch made of it is used when the batch is made"
    ],
    "an answer that never comes to its end": ["provider/OpenAi", "create", "whose answer trickles is unknown"]
  },
  "poll": {
    "429 with Retry-After in seconds": ["faults/Poll", "429 with Retry-After in seconds"],
    "429 with Retry-After as a date": ["faults/Poll", "429 with Retry-After as a date"],
    "429 with an absurdly large Retry-After": [
      "stage/Poll",
      "trouble",
      "with Retry-After of ${asked ?? \"nothing\"} is honoured, unless it is absurdly large"
    ],
    "429 without Retry-After": ["faults/Poll", "429 without Retry-After"],
    "408": ["faults/Poll", "408"],
    "5xx": ["faults/Poll", "500"],
    "401 mid-poll": ["faults/Poll", "a poll at ${name}", "that a 401 meets stops, tells, and keeps everything"],
    "404 on a known batch": [
      "faults/Poll",
      "a poll at ${name}",
      "of a known batch that is 404 stops only when it stays so, and keeps everything"
    ],
    "HTML error page": ["faults/Poll", "an HTML error page"],
    "a socket that hangs": [
      "faults/SlowSockets",
      "hangs",
      "that ${what} while polling at ${name} is given up, and the look made again"
    ],
    "one byte a second": [
      "faults/SlowSockets",
      "brings one byte a second",
      "that ${what} while polling at ${name} is given up, and the look made again"
    ],
    "status unknown to us": ["faults/Poll", "a poll at ${name}", "waits on while the status is unknown to us"],
    "status going backwards": [
      "stage/Poll",
      "a batch",
      "whose status goes backwards never does, whatever a server that lags behind says"
    ],
    "counts null": ["faults/Poll", "a batch that is completed", "with counts that are null has all its rows"]
  },
  "fetch": {
    "cut short with Content-Length": ["faults/Fetch", "with Content-Length"],
    "cut short in chunks": ["faults/Fetch", "in chunks"],
    "cut short with neither": ["faults/Fetch", "with neither"],
    "cut exactly on a newline": ["stage/Fetch", "a download", "that is cut exactly on a newline is made again"],
    "gzip cut short": ["faults/Fetch", "a download from ${name}", "that is gzip cut short is made again"],
    "no Content-Type": [
      "faults/Fetch",
      "a download from ${name}",
      "without a Content-Type is told to be ${packing} by its content"
    ],
    "404": [
      "faults/Fetch",
      "a download from ${name}",
      "whose file is 404 leaves missing rows, and says that they may have been charged"
    ],
    "an expired file": ["stage/Fetch", "results that are expired or gone, with 404,", "are said to be so"],
    "the same file served twice with different bytes": [
      "stage/Fetch",
      "a download",
      "of the same file that is served with different bytes each time is one of them as a whole"
    ],
    "two short downloads of different rows": [
      "stage/Fetch",
      "a download",
      "that is short completes another one, though neither is whole, and every row is answered once"
    ],
    "a results_url on another host": ["faults/Fetch", "a results_url on another host", "is never asked for anything"]
  },
  "content": {
    "duplicate ids, identical": ["stage/Normalize", "lines", "with duplicate ids that are identical count once"],
    "duplicate ids, conflicting": [
      "stage/Normalize",
      "lines",
      "with duplicate ids that are conflicting leave the first answer"
    ],
    "missing ids": ["stage/Normalize", "a row that no line speaks of", "of a batch that is ${ending} is ${outcome}"],
    "unknown ids": ["stage/Normalize", "lines", "with unknown ids are counted, and nothing else"],
    "the same id in output and error file": [
      "stage/Normalize",
      "lines",
      "with the same id in output and error file yield to the answer"
    ],
    "blank lines, CRLF, BOM, no final newline": [
      "stage/Normalize",
      "lines",
      "may be blank, end in CRLF, follow a BOM and lack the last newline"
    ],
    "CRLF split across chunks": [
      "stage/Normalize",
      "lines",
      "may end in CRLF that is split across the blocks in which they come"
    ],
    "malformed line": ["stage/Normalize", "lines", "that are malformed cost their own row, where they name one"],
    "invalid UTF-8": ["stage/Normalize", "lines", "with invalid UTF-8 are still those of their rows"],
    "lone surrogates": ["stage/Normalize", "lines", "with lone surrogates lose those, and nothing else"],
    "NaN": ["stage/Normalize", "lines", "with NaN and Infinity, which are no JSON, cost their own row"],
    "duplicate keys": [
      "stage/Normalize",
      "lines",
      "with duplicate keys are of the row that they name last, as every reader of JSON takes them"
    ],
    "a 300 MB line": [
      "stage/Normalize",
      "lines",
      "of 300 MB cost one row, and no more memory than the longest line that is read"
    ],
    "a line that fills the memory when it is read": [
      "stage/Normalize",
      "lines",
      "of more values than memory can take cost one row"
    ],
    "nesting 100,000 deep": ["stage/Normalize", "lines", "nested 100,000 deep cost their own row"]
  },
  "archives": {
    "plain, gzip or ZIP, told by content": ["internal/RawContent", "tells the packing by the first bytes"],
    "ZIP told by content, not by name": ["internal/RawContent", "is told by its content where the name says nothing"],
    "path traversal": ["internal/RawContent", "a zip is rejected", "with a path to above"],
    "absolute paths": ["internal/RawContent", "a zip is rejected", "with an absolute path"],
    "symlinks": ["internal/RawContent", "a zip is rejected", "with a symbolic link"],
    "duplicate names": ["internal/RawContent", "a zip is rejected", "with duplicate names"],
    "declared size 0": ["internal/RawContent", "a zip is rejected", "with a declared size of 0 but data"],
    "bomb": ["internal/RawContent", "a zip is rejected", "that is a bomb"],
    "gzip bomb": ["internal/RawContent", "gzip content", "that is a bomb is rejected"],
    "nested": ["internal/RawContent", "a zip is rejected", "with a zip nested within"],
    "encrypted": ["internal/RawContent", "a zip is rejected", "with an encrypted member"],
    "bad CRC": ["internal/RawContent", "a zip is rejected", "with a bad CRC"],
    "no JSONL member": ["internal/RawContent", "a zip is rejected", "without a JSONL member"],
    "several JSONL members": [
      "internal/RawContent",
      "zip content",
      "of several JSONL members is the lines of all in the order of the directory"
    ]
  },
  "disk": {
    "ENOSPC, EIO, EACCES, short writes, failing fsync and rename": [
      "simulation/Points",
      "is finished with the same bytes, and paid once, whatever the point: ${kind}"
    ],
    "a write that is short on a full disk": [
      "Ledger",
      "the journal",
      "stays whole when a write is cut short by a full disk"
    ],
    "torn last journal line": ["Ledger", "the journal", "loses its torn last line to a crash, and that one only"],
    "damage elsewhere in the journal": [
      "Ledger",
      "the journal",
      "that is damaged anywhere else is named, with the line"
    ],
    "zero-length manifest": [
      "faults/Disk",
      "a run directory",
      "with a zero-length manifest ends in the same bytes, with a whole one"
    ],
    "stale .tmp": ["faults/Disk", "a run directory", "with stale .tmp files ends in the same bytes, without them"],
    "missing shard, shard edited after submit": [
      "faults/Disk",
      "a run directory",
      "with a shard that is missing, or was edited after the submit, keeps its batches and says what is wrong"
    ],
    "rows edited after the submit": [
      "faults/Disk",
      "a run directory",
      "whose rows/ were edited after the submit, to hold ${what}, is refused: no answer gets to a wrong row"
    ]
  },
  "ids": {
    "../x and a/b": ["faults/Ids", "paths"],
    "NUL": ["faults/Ids", "NUL and other control characters"],
    "__proto__": ["faults/Ids", "names that objects have"],
    "64 and 65 characters": ["faults/Ids", "64 and 65 characters, and far more"],
    "| and spaces": ["faults/Ids", "bars, spaces and quotes"],
    "emoji": ["faults/Ids", "emoji"],
    "normalisation pairs": ["faults/Ids", "normalisation pairs"],
    "duplicates in the input": [
      "faults/Ids",
      "ids of the input",
      "that are duplicates are refused with the two line numbers, however far apart"
    ]
  },
  "people": {
    "two processes on one run directory": [
      "faults/People",
      "a process",
      "beside another one on one run directory is refused, and disturbs nothing"
    ],
    "two machines without a common lock": [
      "faults/People",
      "two machines on one run directory, without a common lock",
      "make one batch a shard: the first one notices the second, and stops"
    ],
    "a stale lock after a kill": [
      "faults/People",
      "a process",
      "that was killed leaves no stale lock: the run is taken up at once"
    ],
    "SIGINT once": [
      "cli/Resume",
      "a run that is left",
      "says what still runs when it is interrupted, with exit code 130"
    ],
    "SIGINT twice": [
      "cli/Resume",
      "a run that is left",
      "is finished after two interrupts, with the same bytes as one that nobody interrupted"
    ],
    "read-only directory": [
      "faults/People",
      "a directory",
      "that is read-only is said to be so, before anything is sent"
    ],
    "clock jumps of a day": [
      "faults/People",
      "a clock",
      "that jumps a day ${what} while a batch is waited for changes nothing"
    ],
    "clock jumps of a day around a lost answer": [
      "faults/People",
      "a clock",
      "that is a day ${what} when the answer of a create is lost pays once",
      "that jumps a day ${what} between a lost answer and the look pays once"
    ],
    "a clock that is set back while entries are written": [
      "Ledger",
      "the manifest",
      "is written though the clock is set back a day"
    ],
    "laptop sleep": [
      "faults/People",
      "a laptop",
      "that sleeps for two days during a wait finds the batch ended, and brings what was answered"
    ]
  },
  "secrets": {
    "a key in the environment": ["crash/Secrets", "when all goes well: ${provider}"],
    "a key that is echoed by the server": [
      "crash/Secrets",
      "when the server refuses the key, and repeats it: ${provider}"
    ],
    "a key that is echoed in the error of a row": [
      "crash/Secrets",
      "when rows fail, and the server repeats the key in each: ${provider}"
    ],
    "a key that is echoed in what is wrong with a batch": [
      "crash/Secrets",
      "when a batch fails as a whole, and the server repeats the key: ${provider}"
    ],
    "a password in a URL": ["crash/Secrets", "when it is sent through a proxy that wants a password: ${provider}"],
    "an interrupt": ["crash/Secrets", "when it is interrupted ${how}: ${provider}"]
  },
  "all of these again": {
    "as a seeded simulation, a failure prints its seed": [
      "simulation/Simulation",
      "a simulation",
      "notices a batch that is made twice, and says how to see it again"
    ]
  }
}

const quotes = ["\"", "`"]

describe("each fault has a test that is named after it", () => {
  for (const [kind, faults] of Object.entries(catalogue)) {
    it(kind, () => {
      for (const [fault, [file, ...titles]] of Object.entries(faults)) {
        const text = readFileSync(new URL(`../${file}.test.ts`, import.meta.url), "utf8")
        for (const title of titles) {
          assert.isTrue(quotes.some((quote) => text.includes(quote + title + quote)), `${fault}: ${file}: ${title}`)
        }
      }
    })
  }
})
