// Sign-in for Next.js applications.
import { FromEnvOptions, Site as Plain, SiteOptions } from './web.cjs'

export * from './web.cjs'

export interface NextOptions {
  /** `redirect` of `next/navigation`, which is imported when it is needed unless given. */
  redirect?: ((location: string) => never) | undefined
}

/** A site of Next.js: `required(await headers(), path)` leads whoever is not signed in to the login page. */
export class Site extends Plain {
  constructor(options: SiteOptions & NextOptions)
  /** As {@link Plain.fromEnv}; during `next build`, where no server runs, variables may be missing. */
  static fromEnv<T extends typeof Plain>(this: T, options?: FromEnvOptions & NextOptions): InstanceType<T>
}
