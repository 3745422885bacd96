/** What modules ask of a browser while they are loaded; elements are made by preact, and never drawn here. */
const storage = (): Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> => {
  const found = new Map<string, string>()
  return {
    getItem: (name) => found.get(name) ?? null,
    setItem: (name, value) => void found.set(name, value),
    removeItem: (name) => void found.delete(name),
  }
}

Object.assign(globalThis, {
  navigator: { language: 'en-GB' },
  document: { baseURI: 'http://127.0.0.1:8080/agents/helper/' },
  sessionStorage: storage(),
  localStorage: storage(),
})
