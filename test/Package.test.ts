/**
 * What a user gets from the registry: `npm pack`, unpacked where nothing but its declared dependencies can be found.
 * The dependencies are links to the ones installed here, so that no registry is needed. `npm test` builds first.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { execFileSync, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

interface Manifest {
  readonly exports: Readonly<Record<string, string | null>>
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional?: boolean }>>
}

const root = fileURLToPath(new URL("..", import.meta.url))
const readJson = (path: string) => JSON.parse(Fs.readFileSync(path, "utf8"))
const manifest: Manifest = readJson(Path.join(root, "package.json"))

const isOptional = (peer: string) => manifest.peerDependenciesMeta[peer]?.optional === true
const peers = Object.keys(manifest.peerDependencies)

let home = ""
let files: ReadonlyArray<string> = []

/** The folder of a project that has the package installed. */
const project = () => Path.join(home, "project")
const installed = () => Path.join(project(), "node_modules", "llm-batch")

const link = (names: ReadonlyArray<string>) => {
  for (const name of names) {
    const path = Path.join(project(), "node_modules", name)
    Fs.mkdirSync(Path.dirname(path), { recursive: true })
    Fs.symlinkSync(Path.join(root, "node_modules", name), path, "junction")
  }
}

const node = (cwd: string, args: ReadonlyArray<string>, input = "") => {
  const { status, stderr, stdout } = spawnSync(process.execPath, args, { cwd, input, encoding: "utf8" })
  return { status, stdout, stderr }
}

/** Imports each name in one process of its own, and gives back the error code (or message) of each that fails. */
const importAll = (names: ReadonlyArray<string>): Readonly<Record<string, string>> => {
  const program = `
    const failures = {}
    for (const name of ${JSON.stringify(names)}) {
      await import(name).catch((error) => { failures[name] = error.code ?? error.message })
    }
    console.log(JSON.stringify(failures))`
  const { stderr, stdout } = node(project(), ["--input-type=module"], program)
  assert.strictEqual(stderr, "")
  return JSON.parse(stdout)
}

const isPrivate = (module: string) =>
  /^(?:bin|cli|internal|ledger|model|pipeline)(?:\/|$)/.test(module)
  || /^job\/(?!(?:Classify|Evaluate|Job|Translate)$)/.test(module)
  || /^provider\/(?!(?:Anthropic|OpenAi)$)/.test(module)
  || /^emulator\/(?!(?:Books|Emulator|FaultPlan|Options)$)/.test(module)

/** The names of the modules in a folder of the package, as a user would write them: `stage/Build`. */
const modules = (folder: string, extension: string) =>
  files
    .filter((file) => file.startsWith(`${folder}/`) && file.endsWith(extension) && !file.endsWith(`.d${extension}`))
    .map((file) => file.slice(folder.length + 1, -extension.length))

const specifiers = () =>
  modules("dist", ".js")
    .filter((module) => !isPrivate(module))
    .map((module) => module === "index" ? "llm-batch" : `llm-batch/${module}`)

beforeAll(() => {
  assert.isTrue(Fs.existsSync(Path.join(root, "dist", "bin.js")), "dist/ is not built: npm run build")
  home = Fs.realpathSync(Fs.mkdtempSync(Path.join(tmpdir(), "llm-batch-package-")))
  const packed = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", home], {
    cwd: root,
    encoding: "utf8",
    shell: process.platform === "win32",
    env: { ...process.env, npm_config_update_notifier: "false" }
  })
  const [tarball]: ReadonlyArray<{ filename: string; files: ReadonlyArray<{ path: string }> }> = JSON.parse(packed)
  assert.isDefined(tarball)
  files = tarball.files.map((file) => file.path)
  execFileSync("tar", ["-xzf", tarball.filename], { cwd: home })
  Fs.mkdirSync(Path.join(project(), "node_modules"), { recursive: true })
  Fs.writeFileSync(Path.join(project(), "package.json"), JSON.stringify({ type: "module", private: true }))
  Fs.renameSync(Path.join(home, "package"), installed())
})

afterAll(() => Fs.rmSync(home, { recursive: true, force: true }))

describe("the tarball", () => {
  it("holds the library, its sources, the ready-made configurations, and nothing else", () => {
    const expected =
      /^(?:package\.json|README\.md|LICENSE|config\/.+|src\/.+\.ts|dist\/.+\.(?:js|d\.ts)(?:\.map)?|dist\/LICENSES\.txt)$/
    assert.deepStrictEqual(files.filter((file) => !expected.test(file)), [])
    assert.deepStrictEqual(files.filter((file) => /(?:^|\/)\.|\.(?:test|spec)\./.test(file)), [])
    assert.includeMembers([...files], ["package.json", "README.md", "LICENSE", "dist/index.js", "dist/bin.js"])
  })

  it("has built every public module of src, with types, and no module that src no longer has", () => {
    const source = modules("src", ".ts").filter((module) => !/^(?:bin$|cli\/)/.test(module))
    const built = modules("dist", ".js").filter((module) => !/^bin(?:\/|$)/.test(module))
    assert.sameMembers(built, source)
    assert.deepStrictEqual(source.filter((module) => !files.includes(`dist/${module}.d.ts`)), [])
  })

  it("has a file for each fixed target of exports and bin", () => {
    const targets = [...Object.values(manifest.exports), ...Object.values(manifest.bin)]
      .filter((target) => target !== null && !target.includes("*"))
      .map((target) => Path.posix.normalize(target ?? ""))
    assert.deepStrictEqual(targets.filter((target) => !files.includes(target)), [])
  })

  it("names no place on the machine it was made on", () => {
    const leaks = files.filter((file) => Fs.readFileSync(Path.join(installed(), file), "utf8").includes(root))
    assert.deepStrictEqual(leaks, [])
  })
})

describe("the executable", () => {
  it("runs where nothing at all is installed", () => {
    const bin = Path.join(installed(), manifest.bin["llm-batch"] ?? "")
    const { status, stderr, stdout } = node(home, [bin, "--help"])
    assert.strictEqual(stderr, "")
    assert.strictEqual(status, 0)
    assert.include(stdout, "llm-batch")
  })

  it.runIf(process.platform !== "win32")("is a program of its own", () => {
    const bin = Path.join(installed(), manifest.bin["llm-batch"] ?? "")
    assert.strictEqual(Fs.statSync(bin).mode & 0o111, 0o111)
    assert.isTrue(Fs.readFileSync(bin, "utf8").startsWith("#!/usr/bin/env node\n"))
  })
})

describe("the library", () => {
  it("imports by its root with the required dependencies alone", () => {
    link([...Object.keys(manifest.dependencies), ...peers.filter((peer) => !isOptional(peer))])
    assert.deepStrictEqual(importAll(["llm-batch"]), {})
  })

  it("imports module by module with the optional ones too", () => {
    link(peers.filter(isOptional))
    assert.deepStrictEqual(importAll(specifiers()), {})
  })

  it("keeps its private modules to itself", () => {
    const names = modules("dist", ".js").filter(isPrivate).map((module) => `llm-batch/${module}`)
    const failures = importAll([...names, "llm-batch/index"])
    assert.deepStrictEqual(
      [...names, "llm-batch/index"].filter((name) => failures[name] !== "ERR_PACKAGE_PATH_NOT_EXPORTED"),
      []
    )
  })

  it.each([["NodeNext", "NodeNext"], ["Preserve", "Bundler"]])("has types for module %s, resolution %s", (
    module,
    moduleResolution
  ) => {
    const lines = specifiers().map((name, index) => `export * as _${index} from "${name}"`)
    Fs.writeFileSync(Path.join(project(), "index.ts"), `${lines.join("\n")}\n`)
    Fs.writeFileSync(
      Path.join(project(), "tsconfig.json"),
      JSON.stringify({
        files: ["index.ts"],
        compilerOptions: {
          target: "ES2022",
          lib: ["ES2023", "DOM"],
          module,
          moduleResolution,
          types: ["node"],
          typeRoots: [Path.join(root, "node_modules", "@types")],
          strict: true,
          noEmit: true,
          preserveSymlinks: false
        }
      })
    )
    const tsc = Path.join(root, "node_modules", "typescript", "lib", "tsc.js")
    const { stdout } = node(project(), [tsc, "--pretty", "false"])
    const ours = stdout.split("\n").filter((line) => /^(?:index\.ts|node_modules\/llm-batch\/|error)/.test(line))
    assert.deepStrictEqual(ours, [])
  })
})
