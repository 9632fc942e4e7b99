// The same as ../web/next.mjs, in the edge runtime of Next.js.
import './edge-light.mjs'

export * from '../web/next.mjs'
