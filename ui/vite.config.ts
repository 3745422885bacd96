import { defineConfig } from 'vite'

// Paths are relative: the page works at the root of a host and below /agents/NAME/.
export default defineConfig({
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../runtime/fleetform_runtime/ui',
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    target: 'es2022',
  },
})
