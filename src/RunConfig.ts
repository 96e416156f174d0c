import type { RunDescription } from "./RunState.js"
export declare const format: (run: RunDescription) => string
