// Loads the WebAssembly module once, with the first call that needs it, so that it does not delay the page.

import { errorFromJson } from './errors.js'

let loading

/** The module's classes and functions, once it is loaded. `source` is its URL or its bytes. */
export function ready(source = new URL('../pkg/oauth_core_web_bg.wasm', import.meta.url)) {
  loading ??= load(source).catch((error) => {
    loading = undefined
    throw error
  })
  return loading
}

async function load(source) {
  const wasm = await import('../pkg/oauth_core_web.js')
  await wasm.default({ module_or_path: source })
  wasm.setErrorClass(errorFromJson)
  return wasm
}
