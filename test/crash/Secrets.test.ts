/**
 * Keys and passwords planted wherever a program could come by them, and looked for in everything that it writes: each
 * file, standard output and standard error of each command, whatever goes wrong. These run live, as `cli/Processes.ts`
 * says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import { fileURLToPath } from "node:url"
import type * as Emulator from "../../src/emulator/Emulator.js"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import { type Ended, questions, start, type Starting } from "../cli/Processes.js"
import { filesBelow, type Provider, providers } from "./Crashes.js"

const key = "sk-proj-Canary0123456789Key"
const unlikeAKey = "cAn4rY.without.a.prefix"
const user = "canary-user"
const password = "canary-password"

/** The secrets, also as they look in the header that the address's user name and password make. */
const secrets = [key, unlikeAKey, user, password, Buffer.from(`${user}:${password}`).toString("base64")]

const quick = ["--poll-interval", "20ms", "--settle-time", "50ms"]

const executable = fileURLToPath(new URL("../../dist/bin.js", import.meta.url))

/** Runs a command until there is a batch, interrupts it so many times, and gives how it ended. */
const interrupted = (
  { url }: Emulator.Service,
  args: ReadonlyArray<string>,
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
  times: number
): Effect.Effect<Ended> =>
  Effect.gen(function*() {
    const child = spawn(process.execPath, [executable, ...args], { cwd, env: { PATH: process.env.PATH ?? "", ...env } })
    const said = { stdout: "", stderr: "" }
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        said[name] += text
      })
    }
    const ended = new Promise<Ended>((resolve) => {
      child.on("close", (code, signal) => resolve({ ...said, code, signal }))
    })
    yield* Effect.repeat(
      Effect.promise(() => fetch(`${url}/_emulator/books`).then((answer) => answer.text())),
      { until: (books) => books.includes("\"id\":\"") || child.exitCode !== null }
    )
    for (let time = 0; time < times; time++) child.kill("SIGINT")
    return yield* Effect.promise(() => ended)
  })

/** A proxy that wants a password, and takes every request to the emulator, whatever host it is for. */
const proxyTo = (emulator: Emulator.Service) =>
  Effect.acquireRelease(
    Effect.async<{ readonly server: Http.Server; readonly url: string; readonly passwords: Set<string> }>((resume) => {
      const passwords = new Set<string>()
      const server = Http.createServer((request, response) => {
        passwords.add(`${request.headers["proxy-authorization"]}`)
        const { pathname, search } = new URL(`${request.url}`, "http://api.example.com")
        const { headers, method } = request
        const onward = Http.request(`${emulator.url}${pathname}${search}`, { method, headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(response)
        })
        onward.on("error", () => response.destroy())
        request.pipe(onward)
      })
      server.on("connect", (request, socket) => {
        socket.on("error", () => {})
        passwords.add(`${request.headers["proxy-authorization"]}`)
        socket.end("HTTP/1.1 403 Forbidden\r\n\r\n")
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" ? address?.port : undefined
        resume(Effect.succeed({ server, passwords, url: `http://${user}:${password}@127.0.0.1:${port}` }))
      })
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )

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
      DEBUG: "*",
      NODE_DEBUG: "http,https,net,tls,stream,undici"
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
      env,
      interrupt: (args: ReadonlyArray<string>, times: number) =>
        Effect.tap(interrupted(emulator, args, { cwd: directory, env }, times), ({ stderr, stdout }) =>
          Effect.sync(() => {
            said.push(stdout, stderr)
          })),
      begin: ["run", "in.jsonl", ...providers[provider], "--run-dir", "here", "--shard-rows", "3", ...quick],
      /** All that was written and said: there is no secret in it. What the provider sent is kept as it came. */
      read: () => {
        const written = filesBelow(directory).filter((path) =>
          !path.includes("/raw/")
        ).map((path) =>
          readFileSync(path, "latin1")
        )
        assert.isNotEmpty(written)
        const all = [...written, ...said].join("\n")
        for (const secret of secrets) {
          const at = all.indexOf(secret)
          assert.strictEqual(at, -1, at === -1 ? "" : `a secret in: ${all.slice(Math.max(0, at - 200), at)}`)
        }
        // Node itself was told to say all it knows.
        assert.match(all, /HTTP \d+: /u)
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

/** What shows nothing new with another provider. */
const onlyOpenAi = ["openai"] as const

const both = ["openai", "anthropic"] as const

// They wait for processes more than they work.
describe.concurrent("secrets are in no file, no output and no log", () => {
  for (const provider of both) {
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
        for (const args of [["status", "here"], ["resume", "here", "--json", ...quick]]) yield* run(args)
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

    it.scopedLive(`when rows fail, and the server repeats the key in each: ${provider}`, () =>
      Effect.gen(function*() {
        const rows = new FaultPlan({
          errorRows: 1,
          errorKind: "invalid_request",
          errorMessage: `bad key ${unlikeAKey}`
        })
        const { begin, read, run } = yield* planted(provider, unlikeAKey, rows, 2_000)
        assert.strictEqual((yield* run([...begin, "--json"])).code, 3)
        for (const args of [...looking, ["results", "here"], ["retry", "here", ...quick]]) yield* run(args)
        assert.include(read(), "bad key ***")
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
      180_000
    )

    it.scopedLive(`when it is sent through a proxy that wants a password: ${provider}`, () =>
      Effect.gen(function*() {
        const { begin, emulator, env, read, run } = yield* planted(provider, key, new FaultPlan(), 2_000)
        const { passwords, url } = yield* proxyTo(emulator)
        const proxied = (scheme: string) => ({
          env: {
            ...env,
            HTTP_PROXY: url,
            HTTPS_PROXY: url,
            OPENAI_BASE_URL: `${scheme}://api.example.com/v1`,
            ANTHROPIC_BASE_URL: `${scheme}://api.example.com`
          }
        })
        const { code, stderr } = yield* run(begin, proxied("http"))
        assert.strictEqual(code, 0, stderr)
        yield* emulator.setFaults(failing(404))
        assert.strictEqual((yield* run(["clean", "here", "--json"], proxied("http"))).code, 0)
        assert.deepStrictEqual([...passwords], [`Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`])
        // Tunnels are refused: no need to wait until the run gives up.
        passwords.clear()
        const tunnelled = yield* run(begin.map((word) => word === "here" ? "there" : word), {
          ...proxied("https"),
          onStderr: (_, child) => {
            if (passwords.size > 0) child.kill("SIGINT")
          }
        })
        assert.strictEqual(tunnelled.code, 130)
        assert.lengthOf([...passwords], 1)
        read()
      }), 180_000)
  }

  for (const provider of onlyOpenAi) {
    it.scopedLive(
      `when a create is refused, and the server repeats the key: ${provider}`,
      () =>
        Effect.gen(function*() {
          const { begin, read, run } = yield* planted(provider, unlikeAKey, failing(400, createOf[provider]), 2_000)
          assert.strictEqual((yield* run(begin)).code, 1)
          for (const args of looking) yield* run(args)
          const all = read()
          assert.include(all, "CreateFailed")
          assert.include(all, "***")
        }),
      180_000
    )

    it.scopedLive(
      `when a batch fails as a whole, and the server repeats the key: ${provider}`,
      () =>
        Effect.gen(function*() {
          const failed = new FaultPlan({ failBatches: 1, failCode: unlikeAKey })
          const { begin, read, run } = yield* planted(provider, unlikeAKey, failed, 2_000)
          assert.strictEqual((yield* run([...begin, "--json"])).code, 3)
          for (const args of [["status", "here"], ["results", "here"]]) yield* run(args)
          assert.include(read(), "***")
        }),
      180_000
    )

    it.scopedLive(
      `when it is cancelled, and its results are read in every form: ${provider}`,
      () =>
        Effect.gen(function*() {
          const { begin, emulator, read, run } = yield* planted(provider, key, new FaultPlan(), 0)
          assert.strictEqual((yield* run([...begin, "--no-wait"])).code, 4)
          const asked = yield* run(["cancel", "here", "--no-wait"])
          assert.strictEqual(asked.code, 4, asked.stderr)
          yield* emulator.advance("1 hour")
          assert.strictEqual((yield* run(["cancel", "here", "--json", "--poll-interval", "20ms"])).code, 3)
          for (const format of ["jsonl", "csv", "tsv", "text"]) yield* run(["results", "here", "--format", format])
          assert.strictEqual((yield* run(["clean", "here", "--json"])).code, 0)
          assert.include(read(), "cancelled")
        }),
      180_000
    )

    for (
      const [how, times, json] of [["once", 1, []], ["twice", 2, []], ["once with --json", 1, ["--json"]]] as const
    ) {
      it.scopedLive(`when it is interrupted ${how}: ${provider}`, () =>
        Effect.gen(function*() {
          const { begin, interrupt, read } = yield* planted(provider, key, new FaultPlan(), 0)
          const { code, stderr } = yield* interrupt([...begin, ...json], times)
          assert.strictEqual(code, 130, stderr)
          assert.include(read(), "BatchCreated")
        }), 180_000)
    }
  }
})
