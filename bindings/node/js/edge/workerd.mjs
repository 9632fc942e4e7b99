// The native half in Workers.
import module from '../../edge/oauth_core_edge_bg.wasm'
import { initSync } from '../../edge/oauth_core_edge.mjs'

initSync({ module })

export * from './native.mjs'
