// Loads the WebAssembly module in Cloudflare Workers (workerd).
import module from '../../edge/oauth_core_edge_bg.wasm'
import { initSync } from '../../edge/oauth_core_edge.mjs'

initSync({ module })

export * from './native.mjs'
