export * from './web.cjs'
