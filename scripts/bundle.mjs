/**
 * How the executable is bundled: with all its dependencies, in parts that are loaded on demand.
 */
import { build } from "esbuild"
import { fileURLToPath } from "node:url"

/**
 * Bundles programs; gives the files that went into them. Paths may be relative to the project.
 *
 * @param {Readonly<Record<string, string>>} entryPoints by the names of the files to be made
 * @param {string} outdir
 */
export const bundle = async (entryPoints, outdir) => {
  const { metafile } = await build({
    absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
    entryPoints,
    outdir,
    chunkNames: "bin/[name]-[hash]",
    tsconfig: "scripts/tsconfig.build.json",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    // CommonJS packages inside an ES module still ask for Node's own modules by `require`.
    banner: {
      js:
        `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`
    },
    legalComments: "none",
    logLevel: "warning",
    metafile: true
  })
  return Object.keys(metafile.inputs)
}
