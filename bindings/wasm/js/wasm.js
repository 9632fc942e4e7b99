// The module, loaded once.

import load, * as wasm from '../pkg/oauth_core_web.js'
import { errorOf } from './errors.js'

let loading

/** The module's classes and functions, once it is there. `source` is where it lies, or its bytes. */
export function ready(source = new URL('../pkg/oauth_core_web_bg.wasm', import.meta.url)) {
  loading ??= load({ module_or_path: source }).then(
    () => {
      wasm.setErrorClass(errorOf)
      return wasm
    },
    (error) => {
      loading = undefined
      throw error
    },
  )
  return loading
}
