/**
 * The exit codes of the command line.
 */

/** Exit codes, as the README lists them. */
export const exitCode = {
  answered: 0,
  failed: 1,
  badInput: 2,
  rowsUnanswered: 3,
  stillRunning: 4,
  interrupted: 130
} as const

/** An exit code. */
export type ExitCode = typeof exitCode[keyof typeof exitCode]
