# One HTTP request for Http.groovy, which documents the environment and the output.
# The client of .NET is in Windows PowerShell 5.1 and PowerShell 7, and supports all methods and a time limit.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
[Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false
$body = "$env:APITRAFFIC_FILE.json"
$response = $null
try {
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
    [Net.ServicePointManager]::Expect100Continue = $false
    $culture = [Globalization.CultureInfo]::InvariantCulture
    $milliseconds = [int]([double]::Parse($env:APITRAFFIC_SECONDS, $culture) * 1000)
    $request = [Net.HttpWebRequest]::Create($env:APITRAFFIC_ADDRESS)
    $request.Method = $env:APITRAFFIC_METHOD
    $request.Timeout = $milliseconds
    $request.ReadWriteTimeout = $milliseconds
    $request.AllowAutoRedirect = $false
    $request.UserAgent = 'apitraffic-jenkins'
    $request.Accept = 'application/json'
    $request.ContentType = 'application/json'
    $request.Headers.Add('Authorization', 'Bearer ' + $env:APITRAFFIC_SECRET.Trim())
    if ($env:APITRAFFIC_DELIVERY) { $request.Headers.Add('webhook-id', $env:APITRAFFIC_DELIVERY) }
    if (Test-Path -LiteralPath $body) {
        $bytes = [IO.File]::ReadAllBytes($body)
        $request.ContentLength = $bytes.Length
        $stream = $request.GetRequestStream()
        $stream.Write($bytes, 0, $bytes.Length)
        $stream.Close()
    }
    try {
        $response = $request.GetResponse()
    } catch {
        # A status of 4xx or 5xx throws an exception.
        $failure = $_.Exception
        while ($failure -and -not ($failure -is [Net.WebException])) { $failure = $failure.InnerException }
        if (-not $failure -or -not $failure.Response) { throw }
        $response = $failure.Response
    }
    $reader = New-Object IO.StreamReader($response.GetResponseStream(), [Text.Encoding]::UTF8)
    $text = $reader.ReadToEnd()
    $lines = @('0', '', ('HTTP/1.1 ' + [int]$response.StatusCode))
    foreach ($name in $response.Headers.AllKeys) { $lines += ($name + ': ' + $response.Headers[$name]) }
    [Console]::Out.Write(($lines -join "`n") + "`n`n" + $text)
} catch {
    $failure = $_.Exception
    while ($failure.InnerException) { $failure = $failure.InnerException }
    [Console]::Out.Write("1`n" + ($failure.Message -replace '\s+', ' ') + "`n")
} finally {
    if ($response) { $response.Close() }
    Remove-Item -LiteralPath $body -Force -ErrorAction SilentlyContinue
}
exit 0
