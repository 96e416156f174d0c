/**
 * The mark that nothing more of a run is to be sent, as a file in its directory: whichever process runs it sees it.
 */
import * as Effect from "effect/Effect"
import * as RunDirectory from "../RunDirectory.js"
import * as Disk from "./Disk.js"

/** Whether somebody asked for the run to be cancelled, in this process or in another one. */
export const isSet = (directory: string) => {
  const path = RunDirectory.cancelRequest(directory)
  return Effect.flatMap(Disk.Disk, (disk) => Disk.attempt("look for", path, () => disk.stat(path) !== undefined))
}

/** Sees to it that nothing more is sent. */
export const set = (directory: string) => Disk.replaceFile(RunDirectory.cancelRequest(directory), "")

/** Lets the run be sent again. */
export const remove = (directory: string) => {
  const path = RunDirectory.cancelRequest(directory)
  return Effect.flatMap(Disk.Disk, (disk) => Disk.attempt("remove", path, () => disk.remove(path)))
}
