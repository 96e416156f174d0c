/**
 * What a command line without a command can wish for.
 */

/** What is answered without a command. */
export type Wish = "help" | "version"

/** How help is asked for, of a command too. */
export const help: ReadonlyArray<string> = ["--help", "-h"]

/** What these arguments wish for, if it takes no command. */
export const of = ([first, ...rest]: ReadonlyArray<string>): Wish | undefined => {
  if (first === undefined || help.includes(first)) return "help"
  if (first === "--version" || first === "-V") return "version"
  return first === "help" ? of(rest) : undefined
}
