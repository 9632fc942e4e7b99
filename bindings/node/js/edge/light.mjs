// The native half in edge runtimes whose bundlers are told what to make of the file.
import module from '../../edge/oauth_core_edge_bg.wasm?module'
import { initSync } from '../../edge/oauth_core_edge.js'

initSync({ module })

export * from './native.mjs'
