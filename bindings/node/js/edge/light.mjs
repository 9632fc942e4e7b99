// The main entry point for the edge runtime of Next.js.
import './edge-light.mjs'

export * from '../index.mjs'
