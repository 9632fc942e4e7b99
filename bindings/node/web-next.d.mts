export * from './web-next.cjs'
