/**
 * The input's own columns in a table that has columns of its own beside them.
 */
import type { JsonObject } from "../Request.js"

/** The value of a column as a cell: a text as it is, nothing for `null` and what is not there, anything else as JSON. */
export const cell = (columns: JsonObject, name: string): string => {
  const value = Object.hasOwn(columns, name) ? columns[name] : undefined
  if (typeof value === "string") return value
  return value === undefined || value === null ? "" : JSON.stringify(value)
}

/** What the input's columns are called: `input_<name>` where the table has that name already, until it is free. */
export const names = (own: ReadonlyArray<string>, table: ReadonlyArray<string>): ReadonlyArray<string> => {
  const taken = new Set(table)
  return own.map((name) => {
    let free = name
    while (taken.has(free)) free = `input_${free}`
    taken.add(free)
    return free
  })
}
