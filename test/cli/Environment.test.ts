/**
 * What the command line makes of its environment, as processes against the emulator; they run live, as Processes.ts
 * says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import { type Ended, questions, start } from "./Processes.js"

const quick = ["--poll-interval", "50ms"]

/** As `start` sets them, and in a URL. */
const canary = "sk-canary"

const assertNoSecret = (directory: string, processes: ReadonlyArray<Ended>) => {
  for (const { stderr, stdout } of processes) assert.notInclude(stdout + stderr, canary)
  const files = readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
  assert.isAbove(files.length, 1)
  for (const path of files) assert.notInclude(readFileSync(path, "latin1"), canary, path)
}

describe("a key", () => {
  const providers = [["gpt-5-mini", "POST /v1/batches"], ["claude-haiku-4-5", "POST /v1/messages/batches"]] as const

  for (const [model, create] of providers) {
    it.scopedLive(`of the provider of ${model} is nowhere: not in files, not in output, whatever servers echo`, () =>
      Effect.gen(function*() {
        const { directory, emulator, env, run, write } = yield* start()
        write("in.jsonl", questions(3))
        const loud = {
          env: {
            ...env,
            OPENAI_BASE_URL: env.OPENAI_BASE_URL.replace("//", `//user:${canary}-url@`),
            ANTHROPIC_BASE_URL: env.ANTHROPIC_BASE_URL.replace("//", `//user:${canary}-url@`),
            OPENAI_LOG: "debug",
            ANTHROPIC_LOG: "debug"
          }
        }
        const processes: Array<Ended> = []
        const runWith = (...args: ReadonlyArray<string>) =>
          Effect.tap(run([...args, ...quick], loud), (ended) => Effect.sync(() => processes.push(ended)))
        const failing = (route: string, status: number) =>
          emulator.setFaults(
            new FaultPlan({ calls: [new CallFault({ route, kind: "status", status, echoKey: true })] })
          )
        yield* failing(create, 401)
        const refused = yield* runWith("run", "in.jsonl", "-m", model, "--run-dir", "here")
        assert.strictEqual(refused.code, 1, refused.stderr)
        assert.include(refused.stderr, "HTTP 401")
        yield* failing("*", 403)
        assert.strictEqual((yield* runWith("resume", "here", "--json")).code, 1)
        yield* emulator.setFaults(new FaultPlan())
        assert.strictEqual((yield* runWith("resume", "here")).code, 0)
        yield* runWith("status", "here", "--json")
        assertNoSecret(directory, processes)
      }))
  }
})

describe("a wrong key", () => {
  it.scopedLive("is put right, and the run goes on", () =>
    Effect.gen(function*() {
      const { emulator, env, run, write } = yield* start({
        faults: new FaultPlan({ calls: [new CallFault({ route: "POST /v1/files", kind: "status", status: 401 })] })
      })
      write("in.jsonl", questions(2))
      const wrong = { env: { ...env, OPENAI_API_KEY: "sk-of-somebody-else" } }
      const refused = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here"], wrong)
      assert.strictEqual(refused.code, 1)
      assert.match(refused.stderr, /\nerror: openai refused shard 0001 with HTTP 401: .* llm-batch resume here\n$/)
      assert.lengthOf(refused.stderr.match(/HTTP 401/g) ?? [], 1)
      yield* emulator.setFaults(new FaultPlan())
      const { code, stderr } = yield* run(["resume", "here", ...quick])
      assert.strictEqual(code, 0, stderr)
    }))
})

describe("the environment", () => {
  it.scopedLive("names no proxy for this machine itself, and no colours for what is no terminal", () =>
    Effect.gen(function*() {
      const { env, run, write } = yield* start()
      write("in.jsonl", questions(2))
      // Nobody listens there: a connection would fail.
      const nobody = "http://127.0.0.1:9"
      const proxies = { HTTP_PROXY: nobody, HTTPS_PROXY: nobody, http_proxy: nobody, https_proxy: nobody }
      for (const colors of [{ NO_COLOR: "1" }, { FORCE_COLOR: "1" }]) {
        const { code, stderr, stdout } = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", ...quick], {
          env: { ...env, ...proxies, ...colors }
        })
        assert.strictEqual(code, 0, stderr)
        assert.notInclude(stdout + stderr, "\u001b")
      }
    }))
})
