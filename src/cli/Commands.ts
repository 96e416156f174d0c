/**
 * The commands, one line each. A command's module is loaded when the command is used: what only lists them stays light.
 *
 * To add a command, write `command/NAME.ts`, and add its line here.
 */
import type * as Command from "@effect/cli/Command"

/** A command, by its name, and by what it does: the line that help has for it. `load` makes it ready to be used. */
const command = <Name extends string, R, E, A>(
  name: Name,
  description: string,
  load: () => Promise<Command.Command<Name, R, E, A>>
) => ({
  name,
  description,
  load: async () => {
    const [{ make }, command] = await Promise.all([import("./Loaded.js"), load()])
    return make(name, description, command)
  }
})

/** The commands that help lists, in its order. */
export const listed = [
  command(
    "run",
    "Sends the rows of an input as batches, waits, and brings every answer back",
    async () => (await import("./command/Run.js")).run
  ),
  command(
    "estimate",
    "Tells what a run of an input would cost, and sends and writes nothing",
    async () => (await import("./command/Estimate.js")).estimate
  ),
  command(
    "resume",
    "Goes on with a run from wherever it stands: sends what was not sent, waits, fetches",
    async () => (await import("./command/Resume.js")).resume
  ),
  command(
    "retry",
    "Asks again for the rows of a finished run that this can help, and merges what comes",
    async () => (await import("./command/Retry.js")).retry
  ),
  command(
    "status",
    "Tells where a run stands, batch by batch, without asking the provider",
    async () => (await import("./command/Status.js")).status
  ),
  command(
    "results",
    "Prints the answers beside the input's own columns, or writes them into a file",
    async () => (await import("./command/Results.js")).results
  ),
  command(
    "list",
    "Lists the runs in a directory, newest first",
    async () => (await import("./command/List.js")).list
  ),
  command(
    "cost",
    "Tells what runs have cost, by model and attempt, and row by row",
    async () => (await import("./command/Cost.js")).cost
  ),
  command(
    "models",
    "Lists the models that are known with their prices, or explains one",
    async () => (await import("./command/Models.js")).models
  ),
  command(
    "cache",
    "Tells what a cache of answers holds, and removes what is too much of it",
    () => import("./command/Cache.js").then(({ cache }) => cache)
  ),
  command(
    "cancel",
    "Asks the provider to stop the batches of a run, and brings what was answered by then",
    async () => (await import("./command/Cancel.js")).cancel
  ),
  command(
    "reconcile",
    "Says what became of a shard where it cannot be told whether a batch was made; sends nothing",
    async () => (await import("./command/Reconcile.js")).reconcile
  ),
  command(
    "clean",
    "Deletes the files and batches that the provider still keeps, once they are fetched",
    async () => (await import("./command/Clean.js")).clean
  ),
  command(
    "build",
    "Builds a run directory out of the rows of an input, and sends nothing",
    async () => (await import("./command/Build.js")).build
  ),
  command(
    "submit",
    "Makes the batches of a run that is built",
    async () => (await import("./command/Stages.js")).submit
  ),
  command(
    "poll",
    "Waits until the batches of a run have ended",
    async () => (await import("./command/Stages.js")).poll
  ),
  command(
    "fetch",
    "Downloads the results of the batches that have ended, again where they are there already",
    async () => (await import("./command/Stages.js")).fetch
  ),
  command(
    "normalize",
    "Makes results.jsonl out of the results that were downloaded, again where it is there already",
    async () => (await import("./command/Stages.js")).normalize
  ),
  command(
    "emulator",
    "Serves the APIs of OpenAI and Anthropic locally, for trying things out without a key",
    async () => (await import("./command/Emulator.js")).emulator
  )
] as const

/** All commands. The demo is not listed: it works in a checkout only. */
export const all = [
  ...listed,
  command(
    "demo",
    "Shows two runs against an emulator: no key, no money",
    async () => (await import("./command/Demo.js")).demo
  )
] as const

/** The command that arguments name, or ask the help of. */
export const named = ([first, second]: ReadonlyArray<string>) => {
  const name = first === "help" ? second : first
  return all.find((command) => command.name === name)
}
