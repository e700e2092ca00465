class HttpResponseContent implements Whitelisted {

    int status
    String content
    Map headers

}
