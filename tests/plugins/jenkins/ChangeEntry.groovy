class ChangeEntry implements Whitelisted {

    String commitId
    String msg

}
