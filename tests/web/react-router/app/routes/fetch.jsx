import { site } from '../site.server'

export async function loader({ request }) {
  const user = await site.required(request)
  return (await user.fetch(process.env.HELLO_API)).status
}

export default function Fetch({ loaderData }) {
  return <p>{`The API says ${loaderData}`}</p>
}
