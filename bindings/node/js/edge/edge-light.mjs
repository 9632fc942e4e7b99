// The native half in the edge runtime of Next.js, whose bundler may load WebAssembly later than the modules beside this one:
// no module of the package asks for anything of it while it is loaded itself.
import module from '../../edge/oauth_core_edge_bg.wasm?module'
import { initSync } from '../../edge/oauth_core_edge.mjs'

// `next start` compiles it in another realm, whose classes are not those of the application.
if (!(module instanceof WebAssembly.Module)) Object.setPrototypeOf(module, WebAssembly.Module.prototype)
initSync({ module })
