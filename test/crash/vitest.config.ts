import { defineConfig } from "vitest/config"
import shared from "../../vitest.config.js"

/** What takes some minutes, and is not part of `npm test`: `npm run test:crash`. */
export default defineConfig({
  ...shared,
  test: { ...shared.test, include: ["test/crash/*.crash.ts"], fileParallelism: false }
})
