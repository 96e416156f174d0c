/**
 * Keys and passwords planted wherever a program could come by them, and looked for in everything that it writes: each
 * file, standard output and standard error of each command, whatever goes wrong. These run live, as `cli/Processes.ts`
 * says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import { questions, start, type Starting } from "../cli/Processes.js"
import { filesBelow, type Provider, providers } from "./Crashes.js"

const key = "sk-proj-Canary0123456789Key"
const unlikeAKey = "cAn4rY.without.a.prefix"
const user = "canary-user"
const password = "canary-password"

/** The secrets, also as they look in the header that the address's user name and password make. */
const secrets = [key, unlikeAKey, user, password, Buffer.from(`${user}:${password}`).toString("base64")]

const quick = ["--poll-interval", "20ms", "--settle-time", "50ms"]

/** A provider whose address holds a password too, and who repeats what the caller said in every error. */
const planted = (provider: Provider, secret: string, faults: FaultPlan, timeScale: number) =>
  Effect.gen(function*() {
    const started = yield* start({ faults, timeScale })
    const { directory, emulator } = started
    const withPassword = (url: string) => url.replace("//", `//${user}:${password}@`)
    const env = {
      OPENAI_API_KEY: secret,
      OPENAI_BASE_URL: withPassword(emulator.openAiBaseUrl),
      OPENAI_LOG: "debug",
      ANTHROPIC_API_KEY: secret,
      ANTHROPIC_BASE_URL: withPassword(emulator.anthropicBaseUrl),
      ANTHROPIC_LOG: "debug",
      DEBUG: "*"
    }
    started.write("in.jsonl", questions(5))
    const said: Array<string> = []
    const run = (args: ReadonlyArray<string>, starting: Partial<Starting> = {}) =>
      Effect.tap(started.run(args, { env, ...starting }), ({ stderr, stdout }) =>
        Effect.sync(() => {
          said.push(stdout, stderr)
        }))
    return {
      emulator,
      run,
      begin: ["run", "in.jsonl", ...providers[provider], "--run-dir", "here", "--shard-rows", "3", ...quick],
      /** All that was written and said: there is no secret in it. */
      read: () => {
        const written = filesBelow(directory).map((path) => readFileSync(path, "latin1"))
        assert.isNotEmpty(written)
        const all = [...written, ...said].join("\n")
        for (const secret of secrets) assert.notInclude(all, secret)
        return all
      }
    }
  })

/** The commands that look at what is there. */
const looking = [["status", "here"], ["status", "here", "--json"], ["list", "."], ["list", ".", "--json"]]

/** The commands that call the provider. */
const calling = [
  ["resume", "here", ...quick],
  ["resume", "here", "--json", ...quick],
  ["fetch", "here"],
  ["cancel", "here", "--json", "--poll-interval", "20ms"],
  ["clean", "here", "--json"]
]

/** Every call that matches gets this status, and the caller's own key back in the message. */
const failing = (status: number, route = "*", rest: Partial<ConstructorParameters<typeof CallFault>[0]> = {}) =>
  new FaultPlan({ calls: [new CallFault({ route, kind: "status", status, echoKey: true, retryAfter: 0, ...rest })] })

const createOf = { openai: "POST /v1/batches", anthropic: "POST /v1/messages/batches" }

describe("secrets are in no file, no output and no log", () => {
  for (const provider of ["openai", "anthropic"] as const) {
    it.scopedLive(`when all goes well: ${provider}`, () =>
      Effect.gen(function*() {
        const { begin, read, run } = yield* planted(provider, key, new FaultPlan(), 2_000)
        const { code, stderr } = yield* run(begin)
        assert.strictEqual(code, 0, stderr)
        for (const args of [...looking, ["results", "here"], ["fetch", "here"], ["clean", "here"]]) yield* run(args)
        assert.include(read(), "RunFinished")
      }), 180_000)

    it.scopedLive(`when the server refuses the key, and repeats it: ${provider}`, () =>
      Effect.gen(function*() {
        const { begin, read, run } = yield* planted(provider, unlikeAKey, failing(401), 2_000)
        assert.strictEqual((yield* run(begin)).code, 1)
        for (const args of [...looking, ["resume", "here", "--json", ...quick]]) yield* run(args)
        assert.include(read(), "***")
      }), 180_000)

    it.scopedLive(`when an answer is lost, and the server repeats the key: ${provider}`, () =>
      Effect.gen(function*() {
        const lost = failing(500, createOf[provider], { afterSuccess: true, first: 1 })
        const { begin, read, run } = yield* planted(provider, unlikeAKey, lost, 2_000)
        const { code, stdout } = yield* run([...begin, "--json"])
        assert.strictEqual(code, 0, stdout)
        assert.include(read(), "***")
      }), 180_000)

    it.scopedLive(
      `when every other call fails, and the server repeats the key: ${provider}`,
      () =>
        Effect.gen(function*() {
          const { begin, emulator, read, run } = yield* planted(provider, unlikeAKey, new FaultPlan(), 2_000)
          assert.strictEqual((yield* run([...begin, "--no-wait"])).code, 4)
          for (const [index, args] of calling.entries()) {
            yield* emulator.setFaults(failing([403, 400, 404][index % 3] ?? 403))
            yield* run(args)
          }
          assert.include(read(), "***")
        }),
      60_000
    )

    it.scopedLive(`when it is interrupted, and again before it has ended: ${provider}`, () =>
      Effect.gen(function*() {
        const { begin, read, run } = yield* planted(provider, key, new FaultPlan(), 0)
        const { code, stderr } = yield* run(begin, {
          onStderr: (text, child) => {
            if (/batch_\w+ made/.test(text)) child.kill("SIGINT")
          }
        })
        assert.strictEqual(code, 130, stderr)
        assert.include(read(), "Interrupted")
      }), 180_000)
  }
})
