// The native half in the edge runtime of Next.js, whose bundler may load WebAssembly later than the other modules: no
// module of the package uses it while being loaded itself.
import module from '../../edge/oauth_core_edge_bg.wasm?module'
import { initSync } from '../../edge/oauth_core_edge.mjs'

// `next start` compiles it in another realm, whose classes are not those of the application.
if (!(module instanceof WebAssembly.Module)) Object.setPrototypeOf(module, WebAssembly.Module.prototype)
initSync({ module })
