import { site } from '../site.server'

export async function loader({ request }) {
  const { user } = await site.handle(request)
  return user?.subject ?? 'stranger'
}

export default function Home({ loaderData }) {
  return <p>{`Hello, ${loaderData}`}</p>
}
