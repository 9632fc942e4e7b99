// Loads the WebAssembly module in the edge runtime of Next.js. Its bundler may do so after the other modules have been
// evaluated, so no module of this package uses it while being evaluated.
import module from '../../edge/oauth_core_edge_bg.wasm?module'
import { initSync } from '../../edge/oauth_core_edge.mjs'

// `next start` compiles it in another realm, whose classes are not those of the application.
if (!(module instanceof WebAssembly.Module)) Object.setPrototypeOf(module, WebAssembly.Module.prototype)
initSync({ module })
