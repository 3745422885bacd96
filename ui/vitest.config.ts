import { defineConfig } from 'vitest/config'

export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  test: { include: ['test/*.test.{ts,tsx}'], setupFiles: ['test/browser-stand-in.ts'] },
})
