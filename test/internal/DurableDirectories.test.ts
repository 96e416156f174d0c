import { assert, it } from "@effect/vitest"
import { DurableDirectories } from "../../src/internal/DurableDirectories.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"

it("a directory survives a power failure, also when it was taken away and is made again", () => {
  const memory = MemoryDisk.make()
  const { disk } = memory
  disk.makeDirectory("/run")
  disk.syncDirectory("/")
  const directories = new DurableDirectories(disk)
  for (const times of [1, 2]) {
    directories.make("/run/raw/test", "/run")
    memory.crash()
    assert.strictEqual(disk.stat("/run/raw/test")?.kind, "directory", `made ${times} times`)
    disk.remove("/run/raw")
    disk.syncDirectory("/run")
  }
})

it("what is there already is made durable once, and then not again", () => {
  const { disk } = MemoryDisk.make()
  disk.makeDirectory("/run/raw/test")
  const synced: Array<string> = []
  const directories = new DurableDirectories({
    ...disk,
    syncDirectory: (path) => {
      synced.push(path)
      disk.syncDirectory(path)
    }
  })
  directories.make("/run/raw/test", "/run")
  directories.make("/run/raw/test", "/run")
  assert.deepStrictEqual(synced, ["/run/raw", "/run"])
})
